//! Speaks to an address that it is told, listens, and looks up names; reports each success.

use std::net::{TcpListener, TcpStream, ToSocketAddrs, UdpSocket};

use test_guests::{Error, Guest, MessageState, report};

struct OpensSocket;

impl Guest for OpensSocket {
    fn get_message_state(channel_id: String) -> Result<Option<MessageState>, Error> {
        let address: &str = &channel_id;
        let datagram = UdpSocket::bind("127.0.0.1:0").or_else(|_| UdpSocket::bind("0.0.0.0:0"));
        let attempts = [
            ("connected", TcpStream::connect(address).is_ok()),
            ("listened", TcpListener::bind("127.0.0.1:0").is_ok()),
            ("sent", datagram.is_ok_and(|socket| socket.send_to(b"out", address).is_ok())),
            ("looked up", ("localhost", 80).to_socket_addrs().is_ok_and(|mut found| found.next().is_some())),
        ];
        Ok(report(attempts.into_iter().filter(|(_, done)| *done).map(|(what, _)| what.to_owned())))
    }
}

test_guests::export!(OpensSocket);
