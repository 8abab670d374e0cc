//! Refuses connections that there is no place for.

use std::io;

use hotrod::{Decoder, Writer, encode_error};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
};

use super::errors;
use crate::{endpoint::Place, linger::Lingering, node::Node};

/// Bytes of the first request that are looked at: clients begin with a short one.
const FIRST: usize = 1024;

/// Answers the first request of a connection with an error, gives its place back, and closes it.
///
/// # Errors
///
/// If the connection breaks.
pub(crate) async fn refuse(
    mut stream: TcpStream,
    node: &Node,
    place: Place,
    lingering: &Lingering,
) -> io::Result<()> {
    answer(&mut stream, node).await?;
    lingering.end(&mut stream, place).await
}

async fn answer(stream: &mut TcpStream, node: &Node) -> io::Result<()> {
    let mut decoder = Decoder::new(node.limits.wire);
    stream.read_buf(decoder.room(FIRST)).await?;
    if let Ok(Some(first)) = decoder.next_request() {
        let most = node.limits.connections;
        let (status, text) = errors::failed(format!(
            "the server has {most} connections, as many as max-connections allows"
        ));
        let mut writer = Writer::default();
        encode_error(&mut writer, first.header.message_id, status, &text);
        stream.write_all(writer.bytes()).await?;
    }
    Ok(())
}
