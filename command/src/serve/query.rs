//! Parameters of a request, read strictly: what a lenient reader would change is refused, since ids are arbitrary text.

use super::problem::Problem;

/// The values of the parameters with these names. Each may be there once, and no other.
pub fn parameters<const N: usize>(
    query: Option<&str>,
    names: [&'static str; N],
) -> Result<[Option<String>; N], Problem> {
    let mut values = [const { None }; N];
    for part in query.unwrap_or_default().split('&').filter(|part| !part.is_empty()) {
        let (name, value) = part.split_once('=').unwrap_or((part, ""));
        let name = decoded(name).ok_or_else(|| Problem::invalid("the name of a parameter is not encoded UTF-8"))?;
        let Some(index) = names.iter().position(|known| *known == name) else {
            let known = if N == 0 { "there are none here".to_owned() } else { format!("use {}", names.join(", ")) };
            return Err(Problem::invalid(format!("unknown parameter {:?}: {known}", shortened(&name))));
        };
        let value = decoded(value).ok_or_else(|| {
            let name = names[index];
            Problem::invalid(format!("{name} is not encoded UTF-8: encode each byte outside A-Z a-z 0-9 as %XX"))
        })?;
        if values[index].replace(value).is_some() {
            return Err(Problem::invalid(format!("{} is given more than once", names[index])));
        }
    }
    Ok(values)
}

/// A parameter that must be there.
pub fn required(value: Option<String>, name: &str) -> Result<String, Problem> {
    value.ok_or_else(|| Problem::invalid(format!("the parameter {name} is missing")))
}

/// Something that a client sent, as a message may repeat it.
pub fn shortened(text: &str) -> &str {
    text.char_indices().nth(60).map_or(text, |(end, _)| &text[..end])
}

/// The text that was encoded as a form is; `None` for a `%` without two digits, and for what is not UTF-8.
fn decoded(text: &str) -> Option<String> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.bytes();
    while let Some(byte) = rest.next() {
        bytes.push(match byte {
            b'+' => b' ',
            b'%' => {
                let mut digit = || char::from(rest.next()?).to_digit(16);
                let (high, low) = (digit()?, digit()?);
                u8::try_from(16 * high + low).ok()?
            }
            other => other,
        });
    }
    String::from_utf8(bytes).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_is_decoded_or_refused_but_never_changed() {
        for (encoded, text) in [("a%2Fb+c", "a/b c"), ("%F0%9F%A6%80", "\u{1f980}"), ("", ""), ("%00", "\0")] {
            assert_eq!(decoded(encoded).as_deref(), Some(text));
        }
        for wrong in ["%", "%4", "%zz", "%+1", "%ff", "%ed%a0%80"] {
            assert_eq!(decoded(wrong), None, "{wrong}");
        }
    }

    #[test]
    fn each_parameter_may_be_there_once_and_no_other() {
        let read = |query| parameters(Some(query), ["a", "b"]);
        assert_eq!(read("b=2&a=").unwrap(), [Some(String::new()), Some("2".into())]);
        assert_eq!(read("a").unwrap(), [Some(String::new()), None]);
        assert_eq!(parameters(None, ["a"]).unwrap(), [None]);
        for (query, part) in [("a=1&%61=2", "more than once"), ("c=1", "use a, b"), ("b=%ff", "b is not")] {
            let problem = read(query).unwrap_err();
            assert!(problem.detail().contains(part), "{}", problem.detail());
        }
    }
}
