//! The other AWS ports: the bus, schedules, parameters, quotas, and alerts.

use dayfly_ports::{
    AlertError, Alerts, Bus, BusError, ParameterError, Parameters, QuotaError, Quotas, Schedule, ScheduleError,
};
use dayfly_records::event::Event;
use secrecy::SecretString;

use super::{Ports, Service, WEBHOOK_SECRET, WEBHOOK_SECRET_PARAMETER};
use crate::policy_limits::POLICY_PARAMETER;

impl Bus for Ports {
    async fn publish(&self, event: &Event) -> Result<(), BusError> {
        self.make(Service::Bus, "publish", |sim, _| sim.publish(event))
            .await
            .map_err(|error| BusError {
                kind: event.kind(),
                error,
            })
    }
}

impl Schedule for Ports {
    async fn switch(&self, on: bool) -> Result<(), ScheduleError> {
        self.make(Service::Scheduler, "switch", |sim, _| {
            sim.note(if on { "schedule on" } else { "schedule off" }, "", String::new);
            sim.schedule_on.set(on);
        })
        .await
        .map_err(ScheduleError)
    }

    async fn is_on(&self) -> Result<bool, ScheduleError> {
        self.make(Service::Scheduler, "is_on", |sim, _| sim.schedule_on.get())
            .await
            .map_err(ScheduleError)
    }
}

impl Parameters for Ports {
    async fn read(&self, name: &str) -> Result<SecretString, ParameterError> {
        let value = match name {
            WEBHOOK_SECRET_PARAMETER => WEBHOOK_SECRET.to_owned(),
            POLICY_PARAMETER => self.sim.plan.policy(self.sim.elapsed()).unwrap_or_default(),
            _ => "ami-0123456789abcdef0".to_owned(),
        };
        self.make(Service::Parameters, "parameter", |_, _| SecretString::from(value))
            .await
            .map_err(|error| ParameterError::Unavailable {
                name: name.to_owned(),
                error,
            })
    }
}

impl Quotas for Ports {
    async fn value(&self, code: &str) -> Result<Option<u32>, QuotaError> {
        self.make(Service::Quotas, "quota", |sim, _| {
            sim.cloud.borrow().quotas.get(code).copied()
        })
        .await
        .map_err(|error| QuotaError {
            code: code.to_owned(),
            error,
        })
    }
}

impl Alerts for Ports {
    async fn send(&self, subject: &str, _: &str) -> Result<(), AlertError> {
        self.make(Service::Alerts, "alert", |sim, _| sim.alert_owner(subject))
            .await
            .map_err(AlertError)
    }
}
