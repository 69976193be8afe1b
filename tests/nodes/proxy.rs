//! A load balancer: forwards each connection to the next node that accepts it.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use tokio::io::copy_bidirectional;
use tokio::net::{TcpListener, TcpStream};

/// Starts it, and returns its address. The nodes may come and go.
pub async fn start(nodes: Vec<SocketAddr>) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let (nodes, next) = (Arc::new(nodes), Arc::new(AtomicUsize::new(0)));
    tokio::spawn(async move {
        while let Ok((mut client, _)) = listener.accept().await {
            let (nodes, next) = (Arc::clone(&nodes), Arc::clone(&next));
            tokio::spawn(async move {
                for _ in 0..nodes.len() {
                    let node = nodes[next.fetch_add(1, Ordering::Relaxed) % nodes.len()];
                    if let Ok(mut node) = TcpStream::connect(node).await {
                        // A killed node ends its connections.
                        let _ = copy_bidirectional(&mut client, &mut node).await;
                        return;
                    }
                }
            });
        }
    });
    address
}
