//! The minute schedule, in EventBridge Scheduler's default group.

use aws_sdk_scheduler::Client;
use aws_sdk_scheduler::operation::get_schedule::GetScheduleOutput;
use aws_sdk_scheduler::types::ScheduleState;
use dayfly_ports::{Schedule, ScheduleError};

use crate::{SdkConfig, failure};

/// The schedule that wakes the sweeper every minute.
#[derive(Clone, Debug)]
pub struct MinuteSchedule {
    client: Client,
    name: String,
}

impl MinuteSchedule {
    /// Nothing is sent yet.
    #[must_use]
    pub fn new(config: &SdkConfig, name: impl Into<String>) -> Self {
        Self {
            client: Client::new(config),
            name: name.into(),
        }
    }

    async fn get(&self) -> Result<GetScheduleOutput, ScheduleError> {
        self.client
            .get_schedule()
            .name(&self.name)
            .send()
            .await
            .map_err(|error| ScheduleError(failure(&error).to_string()))
    }
}

impl Schedule for MinuteSchedule {
    async fn switch(&self, on: bool) -> Result<(), ScheduleError> {
        let current = self.get().await?;
        if is_enabled(&current) == on {
            return Ok(());
        }
        let state = if on {
            ScheduleState::Enabled
        } else {
            ScheduleState::Disabled
        };
        // An update replaces the whole schedule: fields left out fall back to their defaults.
        self.client
            .update_schedule()
            .name(&self.name)
            .state(state)
            .set_group_name(current.group_name)
            .set_schedule_expression(current.schedule_expression)
            .set_schedule_expression_timezone(current.schedule_expression_timezone)
            .set_start_date(current.start_date)
            .set_end_date(current.end_date)
            .set_description(current.description)
            .set_kms_key_arn(current.kms_key_arn)
            .set_target(current.target)
            .set_flexible_time_window(current.flexible_time_window)
            .set_action_after_completion(current.action_after_completion)
            .send()
            .await
            .map_err(|error| ScheduleError(failure(&error).to_string()))?;
        tracing::info!(schedule = self.name, on, "switched the minute schedule");
        Ok(())
    }

    async fn is_on(&self) -> Result<bool, ScheduleError> {
        Ok(is_enabled(&self.get().await?))
    }
}

fn is_enabled(schedule: &GetScheduleOutput) -> bool {
    schedule.state == Some(ScheduleState::Enabled)
}

#[cfg(test)]
mod tests;
