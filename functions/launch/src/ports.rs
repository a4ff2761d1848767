//! The ports of this function: those that all functions share, and four of its own.

use dayfly_ports::{Clock, Parameters, Ports, Quotas, Schedule};

/// What a launch needs of the outside world.
pub trait LaunchPorts: Ports {
    type Schedule: Schedule;
    type Parameters: Parameters;
    type Clock: Clock;
    type Quotas: Quotas;

    fn schedule(&self) -> &Self::Schedule;
    fn parameters(&self) -> &Self::Parameters;
    fn clock(&self) -> &Self::Clock;
    fn quotas(&self) -> &Self::Quotas;
}

/// [`LaunchPorts`] made of one adapter each.
#[derive(Clone, Debug)]
pub struct LaunchPortSet<N, C, P, K, Q> {
    pub shared: N,
    pub schedule: C,
    pub parameters: P,
    pub clock: K,
    pub quotas: Q,
}

impl<N: Ports, C, P, K, Q> Ports for LaunchPortSet<N, C, P, K, Q> {
    type Store = N::Store;
    type GitHub = N::GitHub;
    type Fleet = N::Fleet;
    type Bus = N::Bus;

    fn store(&self) -> &N::Store {
        self.shared.store()
    }

    fn github(&self) -> &N::GitHub {
        self.shared.github()
    }

    fn fleet(&self) -> &N::Fleet {
        self.shared.fleet()
    }

    fn bus(&self) -> &N::Bus {
        self.shared.bus()
    }
}

impl<N: Ports, C: Schedule, P: Parameters, K: Clock, Q: Quotas> LaunchPorts for LaunchPortSet<N, C, P, K, Q> {
    type Schedule = C;
    type Parameters = P;
    type Clock = K;
    type Quotas = Q;

    fn schedule(&self) -> &C {
        &self.schedule
    }

    fn parameters(&self) -> &P {
        &self.parameters
    }

    fn clock(&self) -> &K {
        &self.clock
    }

    fn quotas(&self) -> &Q {
        &self.quotas
    }
}
