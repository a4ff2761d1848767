//! The ports that every function with instances to end has, as one value.

use crate::{Bus, Fleet, GitHub, Store};

/// Table, GitHub, EC2 and bus.
pub trait Ports {
    type Store: Store;
    type GitHub: GitHub;
    type Fleet: Fleet;
    type Bus: Bus;

    fn store(&self) -> &Self::Store;
    fn github(&self) -> &Self::GitHub;
    fn fleet(&self) -> &Self::Fleet;
    fn bus(&self) -> &Self::Bus;
}

/// [`Ports`] made of one adapter each.
#[derive(Clone, Debug)]
pub struct PortSet<S, G, F, B> {
    pub store: S,
    pub github: G,
    pub fleet: F,
    pub bus: B,
}

impl<S: Store, G: GitHub, F: Fleet, B: Bus> Ports for PortSet<S, G, F, B> {
    type Store = S;
    type GitHub = G;
    type Fleet = F;
    type Bus = B;

    fn store(&self) -> &S {
        &self.store
    }

    fn github(&self) -> &G {
        &self.github
    }

    fn fleet(&self) -> &F {
        &self.fleet
    }

    fn bus(&self) -> &B {
        &self.bus
    }
}
