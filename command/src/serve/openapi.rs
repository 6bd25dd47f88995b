//! The description of the operations, in OpenAPI 3.1.

use std::sync::LazyLock;

use axum::extract::RawQuery;
use axum::http::HeaderValue;
use axum::http::header::CONTENT_TYPE;
use axum::response::IntoResponse;
use utoipa::openapi::path::{Operation, Parameter, ParameterBuilder, ParameterIn};
use utoipa::openapi::schema::{ObjectBuilder, Type};
use utoipa::openapi::security::{HttpAuthScheme, HttpBuilder, SecurityRequirement, SecurityScheme};
use utoipa::openapi::{Content, Ref, Required, ResponseBuilder};
use utoipa::{Modify, OpenApi};

use super::app::Answer;
use super::problem::ProblemDocument;
use super::query::parameters;
use super::rows::{OwnershipRow, StateRow};
use super::{lifecycle, ownerships, patterns, states};

#[derive(OpenApi)]
#[openapi(
    info(
        title = "cofferdam serve",
        version = "1",
        description = "The eleven operations of a bot's storage over HTTP. Stable within `/v1`: paths, parameters, members, \
            kinds and the meaning of each. Paths, members of answers and optional parameters may be added: ignore members that \
            you do not know. Not stable: texts for people (`title`, `detail`), and statuses beyond their class; decide by \
            `kind` and `retryable`. Times are whole seconds since the Unix epoch. Ids have 1 to 255 characters without U+0000 \
            and compare byte for byte.",
        license(name = "Apache-2.0 OR MIT"),
        contact(),
    ),
    servers((url = "http://localhost", description = "through the Unix socket, or the address of --listen")),
    paths(
        states::get, states::put, states::list,
        ownerships::get, ownerships::put, ownerships::list, ownerships::cleanup,
        lifecycle::health, lifecycle::initialize, lifecycle::close,
        get,
    ),
    // Those that only a stream names.
    components(schemas(StateRow, OwnershipRow, ProblemDocument)),
    modifiers(&Common),
)]
struct Api;

/// What all operations have in common.
struct Common;

impl Modify for Common {
    fn modify(&self, api: &mut utoipa::openapi::OpenApi) {
        let token = HttpBuilder::new().scheme(HttpAuthScheme::Bearer).description(Some("on a TCP port")).build();
        if let Some(components) = &mut api.components {
            components.security_schemes.insert("token".into(), SecurityScheme::Http(token).into());
        }
        // None is needed on a Unix socket without a token file.
        api.security = Some(vec![SecurityRequirement::default(), SecurityRequirement::new("token", [""; 0])]);
        for path in api.paths.paths.values_mut() {
            [&mut path.get, &mut path.put, &mut path.post].into_iter().flatten().for_each(complete);
        }
        patterns::add(api);
    }
}

fn complete(operation: &mut Operation) {
    let headers = [
        header(
            "Cofferdam-Timeout",
            "how long the client waits, a duration such as `2s` or `300ms`: the operation is cancelled then, or earlier by \
             the server's own deadlines",
            ObjectBuilder::new().schema_type(Type::String).pattern(Some(patterns::TIMEOUT)),
        ),
        header(
            "X-Request-Id",
            "an id of up to 128 printable ASCII characters for the log; without it one is made",
            ObjectBuilder::new().schema_type(Type::String),
        ),
    ];
    operation.parameters.get_or_insert_default().extend(headers.map(Into::into));
    let problem = Content::new(Some(Ref::from_schema_name("Problem")));
    let problem = ResponseBuilder::new()
        .description("Why the request failed. `Retry-After` is there if a retry helps.")
        .content("application/problem+json", problem);
    operation.responses.responses.insert("default".into(), problem.build().into());
}

fn header(name: &str, description: &str, schema: ObjectBuilder) -> Parameter {
    ParameterBuilder::new()
        .name(name)
        .parameter_in(ParameterIn::Header)
        .required(Required::False)
        .description(Some(description))
        .schema(Some(schema))
        .build()
}

/// The description.
pub fn document() -> utoipa::openapi::OpenApi {
    Api::openapi()
}

/// The description as a file.
pub fn text() -> Result<String, serde_json::Error> {
    document().to_pretty_json()
}

/// This document.
#[utoipa::path(
    get,
    path = "/v1/openapi.json",
    operation_id = "openapi",
    tag = "lifecycle",
    responses((status = 200, description = "OpenAPI 3.1.", body = Object, content_type = "application/json")),
)]
pub async fn get(RawQuery(query): RawQuery) -> Answer {
    static TEXT: LazyLock<String> = LazyLock::new(|| text().unwrap_or_default());
    parameters(query.as_deref(), [])?;
    Ok(([(CONTENT_TYPE, HeaderValue::from_static("application/json"))], TEXT.as_str()).into_response())
}
