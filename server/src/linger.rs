//! Ends connections whose peers may still be sending, so that they read what was said last.

use std::{io, time::Duration};

use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
    sync::Semaphore,
};

use crate::endpoint::Place;

/// Most time that a peer may take to leave after it was told that nothing more comes.
const LONGEST: Duration = Duration::from_secs(5);

/// Most time that it may say nothing meanwhile.
const SILENCE: Duration = Duration::from_millis(500);

/// Most bytes that are read of it meanwhile, and thrown away.
const MOST: usize = 16 * 1024 * 1024;

/// Bytes that are read at a time.
const ROOM: usize = 16 * 1024;

/// Most connections at a time that stay for a moment without a place of their own.
const MOST_WITHOUT_PLACE: usize = 16;

/// Lets connections end that have given their places back, so that they do not keep others waiting.
pub(crate) struct Lingering(Semaphore);

impl Default for Lingering {
    fn default() -> Self {
        Self(Semaphore::new(MOST_WITHOUT_PLACE))
    }
}

impl Lingering {
    /// Gives the place of a connection back and ends it as [`end`] does; where too many are ending already, at once.
    ///
    /// # Errors
    ///
    /// If the connection breaks before the peer is told.
    pub(crate) async fn end(&self, stream: &mut TcpStream, place: Place) -> io::Result<()> {
        drop(place);
        match self.0.try_acquire() {
            Ok(_permit) => end(stream).await,
            Err(_) => stream.shutdown().await,
        }
    }
}

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

#[cfg(test)]
mod tests {
    //! Who waits for peers that do not leave.

    use std::sync::Arc;

    use tokio::net::TcpListener;

    use super::*;

    /// Both ends of a connection.
    async fn connection(listener: &TcpListener) -> (TcpStream, TcpStream) {
        let address = listener.local_addr().unwrap();
        let (peer, accepted) = tokio::join!(TcpStream::connect(address), listener.accept());
        (peer.unwrap(), accepted.unwrap().0)
    }

    #[tokio::test]
    async fn those_that_stay_keep_no_place_and_only_so_many_of_them_stay() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let (lingering, places) = (Lingering::default(), Arc::new(Semaphore::new(1)));
        let mut staying = Vec::new();
        for _ in 0..MOST_WITHOUT_PLACE {
            let (peer, mut stream) = connection(&listener).await;
            let place = Place::Reserved(Arc::clone(&places).try_acquire_owned().unwrap());
            let lingering = &lingering;
            let mut ends = Box::pin(async move { lingering.end(&mut stream, place).await });
            tokio::select! {
                biased;
                ended = &mut ends => panic!("its peer is still there: {ended:?}"),
                free = places.acquire() => drop(free),
            }
            staying.push((peer, ends));
        }
        let (mut peer, mut stream) = connection(&listener).await;
        let place = Place::Reserved(Arc::clone(&places).try_acquire_owned().unwrap());
        assert_eq!(lingering.0.available_permits(), 0);
        lingering.end(&mut stream, place).await.unwrap();
        assert_eq!(peer.read(&mut [0]).await.unwrap(), 0, "it is told that nothing more comes");

        let (peer, ends) = staying.remove(0);
        drop(peer);
        ends.await.unwrap();
        assert_eq!(lingering.0.available_permits(), 1);
    }
}
