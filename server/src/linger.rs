//! Ends connections whose peers may still be sending, so that they read what was said last.

use std::{io, time::Duration};

use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
};

/// Most time that a peer may take to leave after it was told that nothing more comes.
const LONGEST: Duration = Duration::from_secs(5);

/// Most time that it may say nothing meanwhile.
const SILENCE: Duration = Duration::from_millis(500);

/// Most bytes that are read of it meanwhile, and thrown away.
const MOST: usize = 16 * 1024 * 1024;

/// Bytes that are read at a time.
const ROOM: usize = 16 * 1024;

/// Says that nothing more comes, and reads on until the peer leaves too, for a moment.
///
/// A socket that is closed with bytes in it that nobody has read resets its connection. A peer that still sends then
/// fails, and may never read what was said before.
///
/// # Errors
///
/// If the connection breaks before the peer is told.
pub(crate) async fn end(stream: &mut TcpStream) -> io::Result<()> {
    stream.shutdown().await?;
    // Whatever happens to a connection that is over does not matter.
    let _ = tokio::time::timeout(LONGEST, drain(stream)).await;
    Ok(())
}

async fn drain(stream: &mut TcpStream) -> io::Result<()> {
    let (mut room, mut all) = (vec![0; ROOM], 0);
    while all < MOST {
        match tokio::time::timeout(SILENCE, stream.read(&mut room)).await {
            Err(_) | Ok(Ok(0)) => break,
            Ok(read) => all += read?,
        }
    }
    Ok(())
}
