//! The outside world in memory: all ports of the functions, on one single-threaded state without a
//! clock. A handler can be made to die before any of its calls, as a Lambda may.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "a world in which the impossible happens should stop"
)]

mod cloud;
mod hub;
mod table;

use std::cell::{Cell, RefCell};
use std::collections::{BTreeMap, VecDeque};
use std::future::Future;
use std::pin::pin;
use std::rc::Rc;
use std::task::{Context, Poll, Waker};

use dayfly_records::event::Event;

pub use crate::cloud::Cloud;
pub use crate::hub::{Hub, HubJob, HubRunner, push_to};
pub use crate::table::{Table, Units, byte_days};

/// Everything outside the functions. Clones share it.
#[derive(Clone, Default)]
pub struct World {
    inner: Rc<Inner>,
}

#[derive(Default)]
struct Inner {
    table: RefCell<Table>,
    cloud: RefCell<Cloud>,
    hub: RefCell<Hub>,
    bus: RefCell<VecDeque<Event>>,
    schedule_on: Cell<bool>,
    parameters: RefCell<BTreeMap<String, String>>,
    broken: RefCell<Vec<&'static str>>,
    calls: RefCell<BTreeMap<&'static str, usize>>,
    interleaved: Cell<bool>,
    calls_left: Cell<Option<u32>>,
}

/// How a handler ended.
#[derive(Debug, PartialEq, Eq)]
pub enum Fate<T> {
    /// It completed.
    Ended(T),
    /// It died before one of its calls.
    Died,
}

impl World {
    /// Returns an empty world.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Runs a handler to its end.
    ///
    /// # Panics
    /// If it waits for something outside this world.
    pub fn run<T>(&self, handler: impl Future<Output = T>) -> T {
        match self.run_until_call(None, handler) {
            Fate::Ended(value) => value,
            Fate::Died => panic!("the handler waits for something outside of the world"),
        }
    }

    /// Runs a handler that dies instead of making its call number `fatal`, counted from 0.
    pub fn run_until_call<T>(&self, fatal: Option<u32>, handler: impl Future<Output = T>) -> Fate<T> {
        self.inner.calls_left.set(fatal);
        let mut handler = pin!(handler);
        let fate = match handler.as_mut().poll(&mut Context::from_waker(Waker::noop())) {
            Poll::Ready(value) => Fate::Ended(value),
            // Every call of this world is answered at once, so only a dead handler waits.
            Poll::Pending => Fate::Died,
        };
        self.inner.calls_left.set(None);
        fate
    }

    /// Runs several handlers interleaved: each waits before every call until `pick` chooses it among
    /// the open ones. `each` runs after each step.
    pub fn run_interleaved<T>(
        &self,
        handlers: Vec<impl Future<Output = T>>,
        mut pick: impl FnMut(usize) -> usize,
        each: impl Fn(),
    ) -> Vec<T> {
        self.inner.interleaved.set(true);
        let mut open: Vec<_> = handlers.into_iter().map(Box::pin).collect();
        let mut ended = Vec::new();
        while !open.is_empty() {
            let picked = pick(open.len());
            if let Poll::Ready(value) = open[picked].as_mut().poll(&mut Context::from_waker(Waker::noop())) {
                ended.push(value);
                drop(open.swap_remove(picked));
            }
            each();
        }
        self.inner.interleaved.set(false);
        ended
    }

    #[must_use]
    pub fn table(&self) -> std::cell::RefMut<'_, Table> {
        self.inner.table.borrow_mut()
    }

    #[must_use]
    pub fn cloud(&self) -> std::cell::RefMut<'_, Cloud> {
        self.inner.cloud.borrow_mut()
    }

    #[must_use]
    pub fn hub(&self) -> std::cell::RefMut<'_, Hub> {
        self.inner.hub.borrow_mut()
    }

    /// Takes the next event off the bus.
    #[must_use]
    pub fn next_event(&self) -> Option<Event> {
        self.inner.bus.borrow_mut().pop_front()
    }

    /// Returns the events on the bus.
    #[must_use]
    pub fn events(&self) -> Vec<Event> {
        self.inner.bus.borrow().iter().cloned().collect()
    }

    /// Whether the minute schedule is on.
    #[must_use]
    pub fn schedule_is_on(&self) -> bool {
        self.inner.schedule_on.get()
    }

    /// Sets an SSM parameter.
    pub fn set_parameter(&self, name: &str, value: &str) {
        self.inner
            .parameters
            .borrow_mut()
            .insert(name.to_owned(), value.to_owned());
    }

    /// Makes every call of this kind fail, as when the service is down.
    pub fn break_down(&self, call: &'static str) {
        self.inner.broken.borrow_mut().push(call);
    }

    /// Makes all calls work again.
    pub fn restore(&self) {
        self.inner.broken.borrow_mut().clear();
    }

    /// Returns how often a call was made.
    #[must_use]
    pub fn calls(&self, call: &str) -> usize {
        self.inner.calls.borrow().get(call).copied().unwrap_or(0)
    }

    /// All calls pass here: each is counted, may be the one before which the handler dies, and fails if
    /// its service is down.
    async fn call(&self, call: &'static str) -> Result<(), String> {
        let mut waits = self.inner.interleaved.get();
        std::future::poll_fn(|context| {
            if std::mem::take(&mut waits) {
                context.waker().wake_by_ref();
                Poll::Pending
            } else {
                Poll::Ready(())
            }
        })
        .await;
        match self.inner.calls_left.get() {
            Some(0) => std::future::pending().await,
            left => self.inner.calls_left.set(left.map(|left| left - 1)),
        }
        *self.inner.calls.borrow_mut().entry(call).or_default() += 1;
        if self.inner.broken.borrow().contains(&call) {
            return Err(format!("{call} is down"));
        }
        Ok(())
    }
}
