//! A listener that the threads of a pool share, and that can be closed while they are blocked: in `accept`, or in
//! `recv` of a silent client. In the lab's pool such a thread never saw the event.

use std::io;
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::thread::{self, JoinHandle};
use std::time::Duration;

#[derive(Debug)]
pub(crate) struct ClosableListener {
    serversocket: TcpListener,
    shutdown_event: AtomicBool,
    clients: Mutex<Vec<Weak<TcpStream>>>,
}

impl ClosableListener {
    pub(crate) fn new(serversocket: impl Into<TcpListener>) -> Self {
        let (shutdown_event, clients) = (AtomicBool::new(false), Mutex::default());
        Self { serversocket: serversocket.into(), shutdown_event, clients }
    }

    pub(crate) fn local_addr(&self) -> io::Result<SocketAddr> {
        self.serversocket.local_addr()
    }

    /// The next client; `None` at the end.
    pub(crate) fn accept(&self) -> Option<(Arc<TcpStream>, SocketAddr)> {
        while !self.is_closed() {
            let Ok((clientsocket, client_address)) = self.serversocket.accept() else {
                // For example for lack of descriptors. An immediate retry would only keep the core busy.
                thread::sleep(Duration::from_millis(100));
                continue;
            };
            let clientsocket = Arc::new(clientsocket);
            let mut clients = self.clients();
            clients.retain(|client| client.strong_count() > 0);
            clients.push(Arc::downgrade(&clientsocket));
            drop(clients);
            // Looked at after the client has been entered: either this thread sees the event or `close` sees the
            // client.
            if !self.is_closed() {
                return Some((clientsocket, client_address));
            }
        }
        None
    }

    /// Sets the event, hangs up on all clients, and wakes the threads in `accept` by connections, until all have
    /// ended.
    pub(crate) fn close(&self, threads: &[JoinHandle<()>]) {
        self.shutdown_event.store(true, Ordering::SeqCst);
        for client in self.clients().iter().filter_map(Weak::upgrade) {
            // The client may have left already.
            let _ = client.shutdown(Shutdown::Both);
        }
        while !threads.iter().all(JoinHandle::is_finished) {
            let address = self.local_addr();
            // This may fail for lack of descriptors, until a thread has closed its client's.
            let _ = address.and_then(|address| TcpStream::connect_timeout(&address, Duration::from_secs(1)));
            thread::sleep(Duration::from_millis(5));
        }
    }

    fn is_closed(&self) -> bool {
        self.shutdown_event.load(Ordering::SeqCst)
    }

    fn clients(&self) -> MutexGuard<'_, Vec<Weak<TcpStream>>> {
        self.clients.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
