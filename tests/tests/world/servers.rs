//! Settings of a server do not change what a session does.

mod obstacles;
mod session;

use std::sync::Arc;

use anyhow::{Context, Result};
use async_trait::async_trait;
use cofferdam_conformance::{BoxError, Harness, Subject};
use cofferdam_tests::harness::mysql::{DatabaseOptions, MysqlServer};
use cofferdam_tests::harness::storage::Home;
use mysql_async::Conn;
use mysql_async::prelude::Queryable;

/// A server of a test's own, and storages on it.
struct Hostile {
    server: MysqlServer,
}

impl Hostile {
    async fn start(arguments: &[&str]) -> Result<Arc<Self>> {
        let arguments: Vec<_> = arguments.iter().map(|&argument| argument.to_owned()).collect();
        Ok(Arc::new(Self { server: MysqlServer::start(&arguments).await? }))
    }

    /// An empty database.
    async fn home(&self) -> Result<Home> {
        self.server.create_database(DatabaseOptions::default()).await.map(Home::Mysql)
    }

    /// A database as the old bot left it.
    async fn legacy(&self) -> Result<Home> {
        let options = DatabaseOptions { charset: Some("latin1"), ..DatabaseOptions::default() };
        let database = self.server.create_database(options).await?;
        let path = concat!(env!("CARGO_MANIFEST_DIR"), "/fixtures/legacy-mysql.sql");
        let mut connection = self.server.administrator().await?;
        connection
            .query_drop(format!(
                "USE `{}`; SET SESSION autocommit = 1, SESSION sql_mode = ''",
                name(&database.config().database)
            ))
            .await?;
        connection.query_drop("SET NAMES utf8mb4").await?;
        connection.query_drop(std::fs::read_to_string(path).context(path)?).await?;
        connection.disconnect().await?;
        Ok(Home::Mysql(database))
    }

    /// Runs statements as an administrator.
    async fn execute(&self, statements: &[&str]) -> Result<()> {
        let mut connection = self.server.administrator().await?;
        run(&mut connection, statements).await?;
        Ok(connection.disconnect().await?)
    }

    async fn number(&self, query: &str) -> Result<i64> {
        let mut connection = self.server.administrator().await?;
        let number = connection.query_first(format!("{query} LIMIT 1")).await?.context("a row")?;
        connection.disconnect().await?;
        Ok(number)
    }
}

#[async_trait]
impl Harness for Hostile {
    fn name(&self) -> &str {
        "mysql with other global values"
    }

    async fn uninitialized(&self) -> Result<Subject, BoxError> {
        Ok(self.home().await?.subject()?)
    }
}

fn name(database: &str) -> String {
    database.replace('`', "``")
}

async fn run(connection: &mut Conn, statements: &[&str]) -> Result<()> {
    for statement in statements {
        connection.query_drop(*statement).await.with_context(|| (*statement).to_owned())?;
    }
    Ok(())
}
