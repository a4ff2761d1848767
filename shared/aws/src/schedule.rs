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
    /// The schedule of this name. Nothing is sent yet.
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
        let now = self.get().await?;
        if is_enabled(&now) == on {
            return Ok(());
        }
        let state = if on {
            ScheduleState::Enabled
        } else {
            ScheduleState::Disabled
        };
        // An update replaces the whole schedule: what it does not name falls back to its default.
        self.client
            .update_schedule()
            .name(&self.name)
            .state(state)
            .set_group_name(now.group_name)
            .set_schedule_expression(now.schedule_expression)
            .set_schedule_expression_timezone(now.schedule_expression_timezone)
            .set_start_date(now.start_date)
            .set_end_date(now.end_date)
            .set_description(now.description)
            .set_kms_key_arn(now.kms_key_arn)
            .set_target(now.target)
            .set_flexible_time_window(now.flexible_time_window)
            .set_action_after_completion(now.action_after_completion)
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
