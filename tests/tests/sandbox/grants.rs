use std::io::ErrorKind as Io;
use std::net::{TcpListener, UdpSocket};

use anyhow::Result;
use cofferdam_tests::harness::plugins::guests;

use crate::rig::{Sandbox, assert_absent};

pub mod reads_environment {
    use super::*;

    #[tokio::test]
    async fn sees_no_variable_no_argument_and_no_folder() -> Result<()> {
        assert!(std::env::vars_os().next().is_some(), "there is nothing to be seen");
        let sandbox = Sandbox::new(guests::READS_ENVIRONMENT).await?;
        let seen = sandbox.report("c").await?;
        // Without a grant Rust's standard library says that the current folder is `/`, which it then cannot open.
        let told: Vec<_> = seen.iter().filter(|line| *line != r#"folder "/""#).collect();
        assert!(told.is_empty(), "{told:?}");
        Ok(())
    }
}

pub mod opens_file {
    use super::*;

    #[tokio::test]
    async fn reads_lists_and_writes_nothing() -> Result<()> {
        let sandbox = Sandbox::new(guests::OPENS_FILE).await?;
        let marker = sandbox.marker();
        let done = sandbox.report(&marker.to_string_lossy()).await?;
        assert!(done.is_empty(), "{done:?}");
        assert_absent(&marker);
        assert_absent(&marker.with_extension("d"));
        assert_absent(std::path::Path::new("marker"));
        assert!(sandbox.folder.database().exists());
        Ok(())
    }
}

pub mod opens_socket {
    use super::*;

    #[tokio::test]
    async fn connects_sends_and_looks_up_nothing() -> Result<()> {
        let sandbox = Sandbox::new(guests::OPENS_SOCKET).await?;
        let listener = TcpListener::bind("127.0.0.1:0")?;
        let address = listener.local_addr()?;
        let datagrams = UdpSocket::bind(address)?;
        listener.set_nonblocking(true)?;
        datagrams.set_nonblocking(true)?;
        let done = sandbox.report(&address.to_string()).await?;
        assert!(done.is_empty(), "{done:?}");
        assert_eq!(listener.accept().expect_err("somebody connected").kind(), Io::WouldBlock);
        assert_eq!(datagrams.recv(&mut [0; 8]).expect_err("something was sent").kind(), Io::WouldBlock);
        Ok(())
    }
}
