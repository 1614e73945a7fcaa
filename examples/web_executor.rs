//! - New here: an executor: many tasks on one thread; the waker puts its task into the queue of those that are ready.
//! - Try it: `cargo run --example web_executor -- --loop`, then `curl http://127.0.0.1:9090/` in two terminals.
//! - What it costs: a task is small, but each one that waits has a thread that waits for it, as in `web_multithread`.
//! - Break it: `scripts/loop web_executor+awaits`: `serve` awaits each client in place of `spawn`: B waits for A.
//!
//! ```text
//!   spawn ──► tasks                 ┌────────────── wake (its number) ◄── thread of a call
//!               ▲                   ▼
//!               │ poll ◄── Executor ◄── ready: 3, 1
//! ```
//!
//! `block_on` of `web_waker` polls one future when it is woken. An executor has many, so it has to know which one: each
//! task has a number, and a waker that knows it.

#[path = "shared/recording.rs"]
mod recording;
#[path = "shared/seed.rs"]
mod seed;

use std::cell::RefCell;
use std::collections::{HashMap, VecDeque};
use std::future::poll_fn;
use std::io::{self, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::pin::Pin;
use std::process::ExitCode;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError, mpsc};
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

    recording::start("executor", Keys::Slab, "read write hook", include_str!("web_executor.rs"))?;
    let mut executor = Executor::new()?;
    println!("Starting Web Server at {}:{}", args.host, serversocket.local_addr()?.port());
    spawn(None, serve(Arc::new(serversocket), Duration::from_millis(args.db)));
    executor.run();
    println!("Shutting down");
    Ok(())
}

async fn serve(serversocket: Arc<TcpListener>, database: Duration) {
    loop {
        match call(&serversocket, TcpListener::accept).await {
            // A client that closes before its response is routine.
            Ok((client, address)) => {
                spawn(Some(address), async move { drop(client_handler(client, database).await) });
            }
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

/// Makes a call that blocks on a thread of its own, and then calls the waker: `Call` of `web_waker`, with the future
/// written by the compiler.
async fn call<S, T>(socket: &Arc<S>, call: impl FnOnce(&S) -> io::Result<T> + Send + 'static) -> io::Result<T>
where
    S: Send + Sync + 'static,
    T: Send + 'static,
{
    let (sender, receiver) = mpsc::channel();
    let mut to_start = Some((sender, Arc::clone(socket), call));
    let poll_it = |cx: &mut Context<'_>| {
        let Some((sender, socket, call)) = to_start.take() else {
            return receiver.try_recv().map_or(Poll::Pending, Poll::Ready);
        };
        let waker = cx.waker().clone();
        let thread = thread::Builder::new().spawn(move || {
            // This fails at the end of the program, when the task is gone.
            let _ = sender.send(call(&socket));
            drop(socket);
            waker.wake();
        });
        thread.map_or_else(|error| Poll::Ready(Err(error)), |_| Poll::Pending)
    };
    poll_fn(poll_it).await
}

/// A future that nothing else awaits.
type Task = Pin<Box<dyn Future<Output = ()>>>;

thread_local! {
    /// Tasks that the executor has yet to take in, with the address of their client.
    static SPAWNED: RefCell<Vec<(Option<SocketAddr>, Task)>> = RefCell::default();
}

/// Starts a task. (`tokio::spawn`)
fn spawn(peer: Option<SocketAddr>, task: impl Future<Output = ()> + 'static) {
    SPAWNED.with_borrow_mut(|spawned| spawned.push((peer, Box::pin(task))));
}

/// The numbers of the tasks that are to be polled, and the thread that does it.
struct Ready {
    numbers: Mutex<VecDeque<usize>>,
    thread: Thread,
}

impl Ready {
    fn push(&self, number: usize) {
        self.numbers.lock().unwrap_or_else(PoisonError::into_inner).push_back(number);
    }

    fn take(&self) -> VecDeque<usize> {
        std::mem::take(&mut self.numbers.lock().unwrap_or_else(PoisonError::into_inner))
    }

    fn has(&self, number: usize) -> bool {
        self.numbers.lock().unwrap_or_else(PoisonError::into_inner).contains(&number)
    }
}

/// Puts the number of its task into the queue, and wakes the executor's thread.
struct TaskWaker {
    number: usize,
    ready: Arc<Ready>,
}

impl Wake for TaskWaker {
    fn wake(self: Arc<Self>) {
        self.ready.push(self.number);
        self.ready.thread.unpark();
    }
}

/// Polls the tasks that are ready, and sleeps while none is.
struct Executor {
    tasks: HashMap<usize, (Task, Arc<TaskWaker>)>,
    tasks_so_far: usize,
    ready: Arc<Ready>,
    is_over: Arc<AtomicBool>,
}

impl Executor {
    /// An executor on this thread, which Ctrl+C wakes as well.
    fn new() -> io::Result<Self> {
        let is_over = Arc::new(AtomicBool::new(false));
        let (was_interrupted, thread) = (Arc::clone(&is_over), thread::current());
        seed::after_ctrl_c(move || {
            was_interrupted.store(true, Ordering::SeqCst);
            thread.unpark();
        })?;
        let ready = Ready { numbers: Mutex::default(), thread: thread::current() };
        Ok(Self { tasks: HashMap::new(), tasks_so_far: 0, ready: Arc::new(ready), is_over })
    }

    /// Runs until Ctrl+C.
    fn run(&mut self) {
        loop {
            self.take_spawned();
            recording::wait(0, None);
            let ready = loop {
                if self.is_over.load(Ordering::SeqCst) {
                    return;
                }
                let ready = self.ready.take();
                if !ready.is_empty() {
                    break ready;
                }
                thread::park();
            };
            recording::turn(0);
            for number in ready {
                self.poll(number);
            }
        }
    }

    /// Takes in new tasks. Each is ready once, so that it is polled for the first time.
    fn take_spawned(&mut self) {
        for (peer, task) in SPAWNED.take() {
            self.tasks_so_far += 1;
            recording::add(recording::Task(self.tasks_so_far as u64), "task", -1, peer);
            self.ready.push(self.tasks_so_far);
            let waker = TaskWaker { number: self.tasks_so_far, ready: Arc::clone(&self.ready) };
            self.tasks.insert(self.tasks_so_far, (task, Arc::new(waker)));
        }
    }

    fn poll(&mut self, number: usize) {
        let Some((task, its_waker)) = self.tasks.get_mut(&number) else { return };
        let told = recording::Task(number as u64);
        recording::wake(told);
        let mut hook = recording::hook(told, "poll", Why::Wake);
        let waker = Waker::from(Arc::clone(its_waker));
        let poll = task.as_mut().poll(&mut Context::from_waker(&waker));
        drop(waker);
        if poll.is_ready() {
            recording::close(told, 0);
            self.tasks.remove(&number);
        } else {
            // A waker that nobody has kept will never be called.
            let is_kept = Arc::strong_count(its_waker) > 1 || self.ready.has(number);
            hook.set_ending(if is_kept { Ending::Pending } else { Ending::Forgotten });
        }
    }
}
