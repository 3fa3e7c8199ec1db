//! A door in front of several instances, as the platform's proxy is: each new connection goes to the
//! next instance that can be reached, bytes pass through untouched.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use tokio::io::copy_bidirectional;
use tokio::net::{TcpListener, TcpStream};

/// Opens the door; it stays open as long as the test's runtime.
pub(crate) async fn open(instances: Vec<String>) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap().to_string();
    let (instances, turn) = (
        Arc::<[String]>::from(instances),
        Arc::new(AtomicUsize::new(0)),
    );
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            tokio::spawn(pass(stream, Arc::clone(&instances), Arc::clone(&turn)));
        }
    });
    address
}

async fn pass(mut caller: TcpStream, instances: Arc<[String]>, turn: Arc<AtomicUsize>) {
    caller.set_nodelay(true).unwrap();
    // One turn for each caller: others who come at the same moment must not make this one skip any.
    let first = turn.fetch_add(1, Ordering::Relaxed);
    for offset in 0..instances.len() {
        let instance = &instances[(first + offset) % instances.len()];
        if let Ok(mut callee) = TcpStream::connect(instance).await {
            callee.set_nodelay(true).unwrap();
            // Either side may go away at any time; that is what these tests are about.
            drop(copy_bidirectional(&mut caller, &mut callee).await);
            return;
        }
    }
}
