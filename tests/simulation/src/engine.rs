//! Virtual time: what happens next, and the handlers that wait for it. Everything runs on one thread;
//! events at the same moment happen in the order in which they were scheduled.

use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use dayfly_types::time::Timestamp;

/// A running handler.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct TaskId(pub u64);

type Handler = Pin<Box<dyn Future<Output = ()>>>;

/// A scheduled item: a handler resumes, or something happens in the world.
enum Planned<H> {
    GoOn(TaskId),
    Happen(H),
}

/// The result of a step.
pub enum Stepped<H> {
    /// A handler resumed.
    WentOn,
    /// Something happens.
    Happens(H),
    /// Nothing is scheduled any more.
    Ended,
}

/// The clock and its schedule.
pub struct Engine<H> {
    now: Cell<Timestamp>,
    planned: RefCell<BTreeMap<(Timestamp, u64), Planned<H>>>,
    tasks: RefCell<BTreeMap<TaskId, Handler>>,
    running: Cell<Option<TaskId>>,
    count: Cell<u64>,
}

impl<H> Engine<H> {
    /// A clock that starts at `start`.
    pub fn new(start: Timestamp) -> Self {
        Self {
            now: Cell::new(start),
            planned: RefCell::new(BTreeMap::new()),
            tasks: RefCell::new(BTreeMap::new()),
            running: Cell::new(None),
            count: Cell::new(0),
        }
    }

    pub fn now(&self) -> Timestamp {
        self.now.get()
    }

    fn next_number(&self) -> u64 {
        self.count.set(self.count.get() + 1);
        self.count.get()
    }

    /// Schedules something.
    pub fn plan(&self, after: Duration, what: H) {
        let at = (self.now().after(after), self.next_number());
        self.planned.borrow_mut().insert(at, Planned::Happen(what));
    }

    /// Starts a handler, which runs at the next step.
    pub fn start(&self, handler: impl Future<Output = ()> + 'static) -> TaskId {
        let task = TaskId(self.next_number());
        self.tasks.borrow_mut().insert(task, Box::pin(handler));
        self.go_on(task, Duration::ZERO);
        task
    }

    /// Drops all handlers, which hold references to the world.
    pub fn clear(&self) {
        self.tasks.take();
        self.planned.borrow_mut().clear();
    }

    /// Drops a handler at any point. Returns whether it still existed.
    pub fn kill(&self, task: TaskId) -> bool {
        self.tasks.borrow_mut().remove(&task).is_some()
    }

    fn go_on(&self, task: TaskId, after: Duration) {
        let at = (self.now().after(after), self.next_number());
        self.planned.borrow_mut().insert(at, Planned::GoOn(task));
    }

    /// Makes the running handler wait.
    pub async fn sleep(&self, span: Duration) {
        let mut until = None;
        std::future::poll_fn(|context| match until {
            Some(until) if self.now() >= until => Poll::Ready(()),
            Some(_) => {
                // A handler that waits for several things at once is polled for each of them, and polls
                // all of them each time.
                context.waker().wake_by_ref();
                Poll::Pending
            }
            None => {
                context.waker().wake_by_ref();
                until = Some(self.now().after(span));
                if let Some(task) = self.running.get() {
                    self.go_on(task, span);
                }
                Poll::Pending
            }
        })
        .await;
    }

    /// Moves to the next scheduled item, if it is not after `end`: resumes a handler, or returns what
    /// happens.
    pub fn step(&self, end: Timestamp) -> Stepped<H> {
        let mut planned = self.planned.borrow_mut();
        let Some(first) = planned.first_entry().filter(|first| first.key().0 <= end) else {
            return Stepped::Ended;
        };
        self.now.set(first.key().0);
        let next = first.remove();
        drop(planned);
        match next {
            Planned::Happen(what) => Stepped::Happens(what),
            Planned::GoOn(task) => {
                self.run(task);
                Stepped::WentOn
            }
        }
    }

    fn run(&self, task: TaskId) {
        let Some(mut handler) = self.tasks.borrow_mut().remove(&task) else {
            return;
        };
        self.running.set(Some(task));
        let poll = handler.as_mut().poll(&mut Context::from_waker(Waker::noop()));
        self.running.set(None);
        if poll.is_pending() {
            self.tasks.borrow_mut().insert(task, handler);
        }
    }
}
