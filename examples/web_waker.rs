//! - New here: a future and a waker by hand: `poll` returns `Pending`, and the waker says when to poll again.
//! - Try it: `cargo run --example web_waker -- --loop`, then `curl http://127.0.0.1:9090/`.
//! - What it costs: a thread for each wait, started and ended; and one client at a time, as in `web_singlethread`.
//! - Break it: `scripts/loop web_waker+lost_waker`: the call ends, and no waker is called: no client is served.
//!
//! ```text
//!   main thread                                            thread of a call
//!   block_on ──► poll ──► Call: Pending, keeps the waker ───► accept, read, sleep, write
//!      │ park                                                        │
//!      └◄──────────────── unpark ◄──────────── wake ◄────────────────┘
//! ```
//!
//! An `async fn` is compiled to a future: its `poll` runs to the first `await` whose own future is pending, and
//! continues there next time. Below all of them is a future by hand that starts the work and keeps the waker: `Call`.

#[path = "shared/recording.rs"]
mod recording;
#[path = "shared/seed.rs"]
mod seed;

use std::io::{self, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::pin::{Pin, pin};
use std::process::ExitCode;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll, Wake, Waker};
use std::thread::{self, Thread};
use std::time::Duration;

use seed::WebArgs;
use socket2::{Domain, Socket, Type};
use stheno::recording::{Ending, Keys, Why};

fn main() -> ExitCode {
    recording::main(run)
}

fn run(args: WebArgs) -> io::Result<()> {
    let address = seed::resolve(&args.host, args.port)?;
    let serversocket = Socket::new(Domain::for_address(address), Type::STREAM, None)?;
    serversocket.set_reuse_address(true)?;
    serversocket.bind(&address.into())?;
    serversocket.listen(args.backlog.into())?;
    let serversocket = TcpListener::from(serversocket);

    recording::start("waker", Keys::Slab, "read write hook", include_str!("web_waker.rs"))?;
    let main = MainThread::new()?;
    println!("Starting Web Server at {}:{}", args.host, serversocket.local_addr()?.port());
    serve(main, &Arc::new(serversocket), Duration::from_millis(args.db));
    println!("Shutting down");
    Ok(())
}

/// One client at a time, until Ctrl+C.
fn serve(mut main: MainThread, serversocket: &Arc<TcpListener>, database: Duration) {
    while let Some(accepted) = main.block_on(None, call(serversocket, TcpListener::accept)) {
        match accepted {
            // A client that closes before its response is routine.
            Ok((client, address)) => drop(main.block_on(Some(address), client_handler(client, database))),
            // Out of descriptors, or of threads, so that no future could wait here either.
            Err(_) => thread::sleep(Duration::from_millis(100)),
        }
    }
}

async fn client_handler(client: TcpStream, database: Duration) -> io::Result<()> {
    let client = Arc::new(client);
    let request = call(&client, |mut client| seed::recv(&mut client, &mut [0; 1024]).map(<[u8]>::len));
    recording::read_in_task(request.await)?;
    let query = call(&client, move |_| {
        thread::sleep(database);
        Ok(())
    });
    query.await?;
    let response = call(&client, |mut client| client.write_all(seed::PAGE));
    recording::write_in_task(response.await.map(|()| seed::PAGE.len())).map(drop)
}

/// A future by hand: a call that blocks, on a thread of its own.
struct Call<T> {
    /// What to call, until the first poll.
    call: Option<Box<dyn FnOnce() -> io::Result<T> + Send>>,
    /// Where that thread leaves the result.
    result: Arc<Mutex<Option<io::Result<T>>>>,
}

fn call<S, T>(socket: &Arc<S>, call: impl FnOnce(&S) -> io::Result<T> + Send + 'static) -> Call<T>
where
    S: Send + Sync + 'static,
{
    let socket = Arc::clone(socket);
    Call { call: Some(Box::new(move || call(&socket))), result: Arc::default() }
}

impl<T: Send + 'static> Future for Call<T> {
    type Output = io::Result<T>;

    /// Starts the call, and keeps the waker for the moment at which it returns. Whoever polls may do other things
    /// meanwhile, because `poll` itself never blocks.
    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let Some(call) = self.call.take() else {
            let result = self.result.lock().unwrap_or_else(PoisonError::into_inner).take();
            return result.map_or(Poll::Pending, Poll::Ready);
        };
        let (result, waker) = (Arc::clone(&self.result), cx.waker().clone());
        let thread = thread::Builder::new().spawn(move || {
            let returned = call();
            *result.lock().unwrap_or_else(PoisonError::into_inner) = Some(returned);
            waker.wake();
        });
        match thread {
            Ok(_) => Poll::Pending,
            Err(error) => Poll::Ready(Err(error)),
        }
    }
}

/// A waker by hand: wakes the thread that polls.
struct ThreadWaker {
    thread: Thread,
    is_woken: AtomicBool,
}

impl Wake for ThreadWaker {
    fn wake(self: Arc<Self>) {
        self.is_woken.store(true, Ordering::SeqCst);
        // If it does not sleep yet, its next `park` returns at once: no wake is lost between poll and park.
        self.thread.unpark();
    }
}

/// The thread that polls.
struct MainThread {
    is_over: Arc<AtomicBool>,
    tasks_so_far: u64,
}

impl MainThread {
    /// This thread, which Ctrl+C wakes as well.
    fn new() -> io::Result<Self> {
        let is_over = Arc::new(AtomicBool::new(false));
        let (was_interrupted, thread) = (Arc::clone(&is_over), thread::current());
        seed::after_ctrl_c(move || {
            was_interrupted.store(true, Ordering::SeqCst);
            thread.unpark();
        })?;
        Ok(Self { is_over, tasks_so_far: 0 })
    }

    /// Polls a future to its end, and sleeps while there is nothing to poll it for. Returns `None` at Ctrl+C.
    fn block_on<T>(&mut self, peer: Option<SocketAddr>, future: impl Future<Output = T>) -> Option<T> {
        self.tasks_so_far += 1;
        let (task, mut why) = (recording::Task(self.tasks_so_far), Why::New);
        recording::add(task, "task", -1, peer);
        let mut future = pin!(future);
        let its_waker = Arc::new(ThreadWaker { thread: thread::current(), is_woken: AtomicBool::new(false) });
        let waker = Waker::from(Arc::clone(&its_waker));
        loop {
            let mut hook = recording::hook(task, "poll", std::mem::replace(&mut why, Why::Wake));
            if let Poll::Ready(output) = future.as_mut().poll(&mut Context::from_waker(&waker)) {
                recording::close(task, 0);
                return Some(output);
            }
            // A waker that nobody has kept will never be called. `waker` and `its_waker` are the two that are here.
            let is_kept = Arc::strong_count(&its_waker) > 2 || its_waker.is_woken.load(Ordering::SeqCst);
            hook.set_ending(if is_kept { Ending::Pending } else { Ending::Forgotten });
            drop(hook);
            recording::wait(0, None);
            while !its_waker.is_woken.swap(false, Ordering::SeqCst) {
                if self.is_over.load(Ordering::SeqCst) {
                    return None;
                }
                thread::park();
            }
            recording::turn(0);
            recording::wake(task);
        }
    }
}
