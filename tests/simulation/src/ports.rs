//! What the functions ask of the world: each call takes its time, may be refused, and may be done
//! although nobody hears of it.

use std::cell::RefCell;
use std::rc::Rc;
use std::time::Duration;

use dayfly_core::capacity::Pool;
use dayfly_core::config::{CONFIG_PATH, ImageName, VolumeType};
use dayfly_core::decide::admission::{LabelEvent, Origin, Pull, Review};
use dayfly_core::decide::settlement::MOST_CHANGES;
use dayfly_core::event::Event;
use dayfly_core::ids::{
    CheckRunId, CommentId, FleetId, ImageId, InstallationId, InstanceId, InstanceType, JobId, QueueId, Repository,
    RunId, RunKey, RunnerId, SubnetId, Zone,
};
use dayfly_core::labels::Label;
use dayfly_core::machines::Arch;
use dayfly_core::money::MicroDollars;
use dayfly_core::month::Month;
use dayfly_core::notice::CheckRun;
use dayfly_core::policy::Team;
use dayfly_core::prices::{SpotPrice, VolumeRate};
use dayfly_core::record::{Bucket, BucketId, Change, Cost, Ledger, Notice, Record, RecordId, Stored, Waiting};
use dayfly_core::time::Timestamp;
use dayfly_ports::{
    AlertError, Alerts, ApiError, ApiErrorKind, Bus, BusError, CheckView, Clock, ConfigFile, Draw, FailedDelivery,
    Fleet, FleetAnswer, FleetError, FleetErrorKind, FleetRequest, GitHub, Image, InstanceView, JobView, Minted,
    ParameterError, Parameters, QuotaError, Quotas, Removal, RerunAnswer, RunView, RunnerView, Schedule, ScheduleError,
    Scope, Store, StoreError,
};
use secrecy::SecretString;

use crate::cloud;
use crate::dice::Dice;
use crate::guards::Guard;
use crate::hub::INSTALLATION;
use crate::money;
use crate::plan::Outage;
use crate::sim::Sim;
use crate::turns::POLICY_PARAMETER;

/// Where the webhook's secret lies.
pub const WEBHOOK_SECRET_PARAMETER: &str = "/dayfly/github/webhook-secret";
/// The webhook's secret.
pub const WEBHOOK_SECRET: &str = "a secret of this world";

/// How long a call takes that is not answered.
const NO_ANSWER: Duration = Duration::from_secs(9);

/// The ports of one call of a function.
#[derive(Clone)]
pub struct Ports {
    sim: Rc<Sim>,
    dice: Rc<RefCell<Dice>>,
}

/// A service, with how long it takes and what may befall it.
#[derive(Clone, Copy)]
enum Service {
    Table,
    Bus,
    Scheduler,
    Parameters,
    Quotas,
    Alerts,
    Ec2,
    GitHub,
}

impl Service {
    fn name(self) -> &'static str {
        match self {
            Self::Table => "table",
            Self::Bus => "bus",
            Self::Scheduler => "scheduler",
            Self::Parameters => "parameters",
            Self::Quotas => "quotas",
            Self::Alerts => "alerts",
            Self::Ec2 => "EC2",
            Self::GitHub => "GitHub",
        }
    }

    fn takes(self, dice: &mut Dice) -> Duration {
        match self {
            Self::Table => dice.millis(2, 12),
            Self::Bus | Self::Scheduler | Self::Parameters | Self::Quotas | Self::Alerts => dice.millis(5, 40),
            Self::Ec2 => dice.millis(80, 1500),
            Self::GitHub => dice.millis(40, 500),
        }
    }

    fn outage(self) -> Option<Outage> {
        match self {
            Self::Table => Some(Outage::Table),
            Self::Bus => Some(Outage::Bus),
            Self::Scheduler => Some(Outage::SchedulerApi),
            Self::Parameters | Self::Quotas => None,
            Self::Alerts => Some(Outage::Alerts),
            Self::Ec2 => Some(Outage::Ec2),
            Self::GitHub => Some(Outage::GitHub),
        }
    }
}

impl Ports {
    /// The ports of a call with this die.
    pub fn new(sim: Rc<Sim>, dice: Dice) -> Self {
        Self {
            sim,
            dice: Rc::new(RefCell::new(dice)),
        }
    }

    /// Makes a call: it takes a while to get there, happens, and takes a while to be answered. In an
    /// outage it does not happen, or happens and is not answered.
    async fn make<T>(
        &self,
        service: Service,
        what: &'static str,
        happens: impl FnOnce(&Rc<Sim>, &mut Dice) -> T,
    ) -> Result<T, String> {
        let (there, back, trouble, silent) = {
            let mut dice = self.dice.borrow_mut();
            let takes = service.takes(&mut dice);
            let trouble = service.outage().is_some_and(|outage| self.sim.hit(outage, &mut dice));
            (takes / 2, takes / 2, trouble, dice.happens(0.3))
        };
        self.sim.engine.sleep(there).await;
        self.sim.tally.borrow_mut().port(service.name(), what);
        if trouble && !silent {
            self.sim.engine.sleep(back).await;
            return Err(format!("{what} does not work"));
        }
        let done = happens(&self.sim, &mut self.dice.borrow_mut());
        self.sim.engine.sleep(if trouble { NO_ANSWER } else { back }).await;
        if trouble {
            return Err(format!("{what} is not answered"));
        }
        Ok(done)
    }

    async fn github<T>(
        &self,
        what: &'static str,
        happens: impl FnOnce(&Rc<Sim>, &mut Dice) -> T,
    ) -> Result<T, ApiError> {
        let limited = self.sim.hit(Outage::GitHubLimit, &mut self.dice.borrow_mut());
        if limited {
            return Err(ApiError {
                kind: ApiErrorKind::RateLimited(Some(self.dice.borrow_mut().seconds(10, 600))),
                call: what,
                message: "API rate limit exceeded".to_owned(),
            });
        }
        let now = self.sim.now();
        if let Some(wait) = self.sim.promises.borrow_mut().ask_github(now) {
            return Err(ApiError {
                kind: ApiErrorKind::RateLimited(Some(wait)),
                call: what,
                message: "API rate limit exceeded".to_owned(),
            });
        }
        self.make(Service::GitHub, what, happens)
            .await
            .map_err(|message| ApiError {
                kind: ApiErrorKind::Unavailable,
                call: what,
                message,
            })
    }

    async fn ec2<T>(
        &self,
        what: &'static str,
        happens: impl FnOnce(&Rc<Sim>, &mut Dice) -> T,
    ) -> Result<T, FleetError> {
        self.make(Service::Ec2, what, happens)
            .await
            .map_err(|message| FleetError {
                kind: FleetErrorKind::Unknown,
                code: "NoAnswer".to_owned(),
                message,
                pool: None,
            })
    }

    /// Asks for a price.
    async fn priced<T>(
        &self,
        what: &'static str,
        happens: impl FnOnce(&Rc<Sim>, &mut Dice) -> T,
    ) -> Result<T, FleetError> {
        if self.sim.hit(Outage::Prices, &mut self.dice.borrow_mut()) {
            return Err(cloud::error(FleetErrorKind::Unknown, "InternalError"));
        }
        self.ec2(what, happens).await
    }

    /// A write to EC2, which takes so many in a while.
    async fn ec2_write<T>(
        &self,
        what: &'static str,
        happens: impl FnOnce(&Rc<Sim>, &mut Dice) -> T,
    ) -> Result<T, FleetError> {
        let throttled = self.sim.hit(Outage::Ec2Throttle, &mut self.dice.borrow_mut())
            || !self.sim.cloud.borrow_mut().take_call(self.sim.now());
        if throttled {
            self.sim.tally.borrow_mut().throttles += 1;
            return Err(cloud::error(FleetErrorKind::Throttled, "RequestLimitExceeded"));
        }
        self.ec2(what, happens).await
    }
}

fn not_found(call: &'static str) -> ApiError {
    ApiError {
        kind: ApiErrorKind::NotFound,
        call,
        message: "Not Found".to_owned(),
    }
}

impl Store for Ports {
    async fn load(&self, id: &RecordId) -> Result<Option<Stored<Record>>, StoreError> {
        self.make(Service::Table, "load", |sim, _| {
            if matches!(id, RecordId::Delivery(_)) && !sim.has(Guard::Dedupe) {
                return None;
            }
            sim.table.borrow_mut().load(id)
        })
        .await
        .map_err(StoreError::Unavailable)
    }

    async fn commit(&self, changes: Vec<Change>) -> Result<(), StoreError> {
        // As DynamoDB refuses it.
        if changes.len() > MOST_CHANGES {
            let refused = format!(
                "a transaction of {} items, and {MOST_CHANGES} are the most",
                changes.len()
            );
            return Err(StoreError::Unavailable(refused));
        }
        self.make(Service::Table, "commit", |sim, dice| sim.commit(changes, dice))
            .await
            .map_err(StoreError::Unavailable)?
            .then_some(())
            .ok_or(StoreError::Conflict)
    }

    async fn due(&self, now: Timestamp, limit: usize) -> Result<Vec<Stored<Record>>, StoreError> {
        self.make(Service::Table, "due", |sim, _| {
            let mut due = sim.table.borrow_mut().due(sim.now(), now, limit);
            due.retain(|one| sim.has(Guard::SayAgain) || !matches!(one.record, Record::Notice(_)));
            due.retain(|one| sim.has(Guard::ToldLater) || !matches!(one.record, Record::Ledger(_)));
            due
        })
        .await
        .map_err(StoreError::Unavailable)
    }

    async fn waiting(&self, queue: &QueueId) -> Result<Vec<Stored<Waiting>>, StoreError> {
        self.make(Service::Table, "waiting", |sim, _| {
            sim.table.borrow_mut().waiting(queue)
        })
        .await
        .map_err(StoreError::Unavailable)
    }

    async fn notices(&self, run: RunKey, limit: usize) -> Result<Vec<Stored<Notice>>, StoreError> {
        self.make(Service::Table, "notices", |sim, _| {
            sim.table.borrow_mut().notices(run, limit)
        })
        .await
        .map_err(StoreError::Unavailable)
    }

    async fn ledgers(&self, month: Month) -> Result<Vec<Stored<Ledger>>, StoreError> {
        self.make(Service::Table, "ledgers", |sim, _| {
            sim.table.borrow_mut().ledgers(month)
        })
        .await
        .map_err(StoreError::Unavailable)
    }

    async fn costs(&self, month: Month) -> Result<Vec<Cost>, StoreError> {
        self.make(Service::Table, "costs", |sim, _| {
            let table = sim.table.borrow();
            table
                .costs()
                .filter(|cost| cost.id().month() == month)
                .cloned()
                .collect()
        })
        .await
        .map_err(StoreError::Unavailable)
    }

    async fn latest_costs(&self, month: Month, limit: usize) -> Result<Vec<Cost>, StoreError> {
        let mut costs = self.costs(month).await?;
        costs.reverse();
        costs.truncate(limit);
        Ok(costs)
    }

    async fn draw(&self, id: BucketId, latest: Timestamp, now: Timestamp) -> Result<Draw, StoreError> {
        self.make(Service::Table, "draw", |sim, _| {
            if !sim.has(Guard::Buckets) {
                return Draw::Taken(Bucket::full(id, now));
            }
            sim.table.borrow_mut().draw(id, latest, now)
        })
        .await
        .map_err(StoreError::Unavailable)
    }

    async fn anything_lives(&self) -> Result<bool, StoreError> {
        self.make(Service::Table, "anything_lives", |sim, _| {
            sim.table.borrow_mut().anything_lives(sim.now())
        })
        .await
        .map_err(StoreError::Unavailable)
    }
}

impl Clock for Ports {
    fn now(&self) -> Timestamp {
        self.sim.now()
    }

    async fn sleep(&self, span: Duration) {
        self.sim.engine.sleep(span).await;
    }
}

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

impl Fleet for Ports {
    async fn create(&self, request: &FleetRequest) -> Result<FleetAnswer, FleetError> {
        self.ec2_write("create_fleet", |sim, dice| sim.create_fleet(request, dice))
            .await?
    }

    async fn terminate(&self, instances: &[InstanceId], _at_once: bool) -> Result<(), FleetError> {
        self.ec2_write("terminate", |sim, _| {
            for instance in instances {
                sim.terminated_by_us(instance);
            }
        })
        .await
    }

    async fn zones(&self, subnets: &[SubnetId]) -> Result<Vec<(SubnetId, Zone)>, FleetError> {
        self.ec2("zones", |_, _| {
            let zones = ["eu-west-1a", "eu-west-1b", "eu-west-1c"].into_iter().cycle();
            subnets.iter().cloned().zip(zones.map(Zone::new)).collect()
        })
        .await
    }

    async fn of_fleet(&self, fleet: &FleetId) -> Result<Vec<InstanceView>, FleetError> {
        self.ec2("describe", |sim, _| {
            let tags = sim.has(Guard::Tags);
            let named = |one: &cloud::Instance| tags && one.view.fleet.as_ref() == Some(fleet);
            sim.cloud.borrow().named(sim.now(), tags, named)
        })
        .await
    }

    async fn named(&self) -> Result<Vec<InstanceView>, FleetError> {
        self.ec2("describe", |sim, _| {
            let tags = sim.has(Guard::Tags);
            // Without its tags an instance is not known as ours at all.
            sim.cloud.borrow().named(sim.now(), tags, |_| tags)
        })
        .await
    }

    async fn image(&self, image: &ImageId) -> Result<Image, FleetError> {
        self.ec2("image", |_, _| Image {
            image: image.clone(),
            root_device: "/dev/sda1".to_owned(),
            gib: Some(60),
        })
        .await
    }

    async fn newest_image(&self, _: &ImageName, _: Arch) -> Result<Image, FleetError> {
        self.ec2("image", |_, _| Image {
            image: ImageId::new("ami-01234567"),
            root_device: "/dev/sda1".to_owned(),
            gib: Some(60),
        })
        .await
    }

    async fn spot_prices(&self, pool: &Pool, from: Timestamp, to: Timestamp) -> Result<Vec<SpotPrice>, FleetError> {
        self.priced("spot_prices", |sim, _| {
            if pool.zone.is_unknown() {
                return Err(cloud::error(FleetErrorKind::BadRequest, "InvalidParameterValue"));
            }
            Ok(sim.spot_prices(pool, from, to))
        })
        .await?
    }

    async fn on_demand_price(&self, name: &InstanceType) -> Result<Option<MicroDollars>, FleetError> {
        self.priced("on_demand_price", |_, _| money::on_demand(name)).await
    }

    async fn volume_rate(&self, kind: VolumeType) -> Result<Option<VolumeRate>, FleetError> {
        self.priced("volume_rate", |_, _| money::volume_rate(kind)).await
    }

    async fn ended_by_ec2(&self, instance: &InstanceId) -> Result<bool, FleetError> {
        self.ec2("describe", |sim, _| {
            let its = |one: &cloud::Instance| one.view.instance == *instance && one.ended_by_ec2;
            !sim.cloud.borrow().named(sim.now(), true, its).is_empty()
        })
        .await
    }
}

impl Alerts for Ports {
    async fn tell(&self, subject: &str, _: &str) -> Result<(), AlertError> {
        self.make(Service::Alerts, "alert", |sim, _| sim.told_owner(subject))
            .await
            .map_err(AlertError)
    }
}

impl GitHub for Ports {
    async fn config_file(&self, scope: &Scope, path: &str, _: Option<&str>) -> Result<ConfigFile, ApiError> {
        self.github("config_file", |sim, _| {
            if path != CONFIG_PATH {
                return ConfigFile::Missing;
            }
            ConfigFile::Found {
                etag: None,
                text: sim.plan.config(&scope.repository).text(),
            }
        })
        .await
    }

    async fn mint(&self, scope: &Scope, name: &str, labels: &[Label]) -> Result<Minted, ApiError> {
        self.github("mint", |sim, _| sim.mint(name, scope, labels)).await
    }

    async fn runner_named(&self, _: &Scope, name: &str) -> Result<Option<RunnerView>, ApiError> {
        self.github("runner_named", |sim, dice| {
            sim.listed(dice, |runner| runner.name == name).into_iter().next()
        })
        .await
    }

    async fn remove_runner(&self, _: &Scope, runner: RunnerId) -> Result<Removal, ApiError> {
        self.github("remove_runner", |sim, _| sim.remove_runner(runner)).await
    }

    async fn job(&self, _: &Scope, job: JobId) -> Result<JobView, ApiError> {
        self.github("job", |sim, _| sim.job_as_asked(job))
            .await?
            .ok_or_else(|| not_found("job"))
    }

    async fn run(&self, _: &Scope, run: RunId) -> Result<RunView, ApiError> {
        self.github("run", |sim, _| {
            sim.hub.borrow().runs.get(&run).map(|run| RunView {
                attempt: run.attempt,
                completed: run.ended.is_some(),
                conclusion: run.ended,
            })
        })
        .await?
        .ok_or_else(|| not_found("run"))
    }

    async fn rerun_job(&self, _: &Scope, job: JobId) -> Result<RerunAnswer, ApiError> {
        self.github("rerun", |sim, _| {
            let run = sim.hub.borrow().jobs.get(&job).map(|job| job.run);
            run.map(|run| sim.rerun_by_us(run, Some(job)))
        })
        .await?
        .ok_or_else(|| not_found("rerun"))
    }

    async fn rerun_failed_jobs(&self, _: &Scope, run: RunId) -> Result<RerunAnswer, ApiError> {
        self.github("rerun", |sim, _| sim.rerun_by_us(run, None)).await
    }

    async fn superseded(&self, scope: &Scope, run: RunId) -> Result<Option<RunId>, ApiError> {
        self.github("superseded", |sim, _| {
            let one_of_them = sim.plan.config(&scope.repository).concurrency && sim.has(Guard::Concurrency);
            sim.hub.borrow().newer_than(run).filter(|_| one_of_them)
        })
        .await
    }

    async fn installations(&self) -> Result<Vec<InstallationId>, ApiError> {
        self.github("installations", |_, _| vec![INSTALLATION]).await
    }

    async fn pushed_repositories(&self, _: InstallationId, since: Timestamp) -> Result<Vec<Repository>, ApiError> {
        self.github("repositories", |sim, _| {
            let hub = sim.hub.borrow();
            let pushed = hub.pushed.iter().filter(|(_, at)| **at >= since);
            pushed.map(|(repository, _)| repository.clone()).collect()
        })
        .await
    }

    async fn open_runs(&self, scope: &Scope) -> Result<Vec<RunId>, ApiError> {
        self.github("open_runs", |sim, _| {
            if !sim.has(Guard::LostJobs) {
                return Vec::new();
            }
            sim.hub.borrow().open_runs(&scope.repository).collect()
        })
        .await
    }

    async fn jobs_of(&self, _: &Scope, run: RunId) -> Result<Vec<JobView>, ApiError> {
        self.github("jobs_of", |sim, _| {
            let hub = sim.hub.borrow();
            let jobs = hub.runs.get(&run).map(|run| run.jobs.clone()).unwrap_or_default();
            jobs.into_iter().filter_map(|job| hub.view(job)).collect()
        })
        .await
    }

    async fn runners(&self, scope: &Scope) -> Result<Vec<RunnerView>, ApiError> {
        self.github("runners", |sim, dice| {
            let offline_too = sim.has(Guard::Offline);
            sim.listed(dice, |runner| {
                runner.repository == scope.repository && (runner.online || offline_too)
            })
        })
        .await
    }

    async fn failed_deliveries(&self, after: u64, limit: usize) -> Result<Vec<FailedDelivery>, ApiError> {
        self.github("failed_deliveries", |sim, _| sim.failed_deliveries(after, limit))
            .await
    }

    async fn redeliver(&self, number: u64) -> Result<(), ApiError> {
        self.github("redeliver", |sim, _| sim.redeliver(number)).await
    }
    async fn create_check(&self, scope: &Scope, check: &CheckRun) -> Result<CheckRunId, ApiError> {
        self.github("create_check", |sim, _| sim.make_check(scope, check)).await
    }

    async fn update_check(&self, _: &Scope, id: CheckRunId, check: &CheckRun) -> Result<(), ApiError> {
        self.github("update_check", |sim, _| sim.change_check(id, check))
            .await?
            .then_some(())
            .ok_or_else(|| not_found("update_check"))
    }

    async fn find_check(
        &self,
        scope: &Scope,
        head_sha: &str,
        name: &str,
        external_id: &str,
    ) -> Result<Option<CheckView>, ApiError> {
        self.github("find_check", |sim, _| {
            let hub = sim.hub.borrow();
            let found = hub.checks.of(external_id).find(|(_, check)| {
                check.repository == scope.repository && check.said.head_sha == head_sha && check.said.name == name
            });
            found.map(|(id, check)| CheckView {
                id,
                concluded: check.said.conclusion,
            })
        })
        .await
    }

    async fn find_comment(&self, scope: &Scope, pull: u64, marker: &str) -> Result<Option<CommentId>, ApiError> {
        self.github("find_comment", |sim, _| {
            let hub = sim.hub.borrow();
            let found = hub.comments.iter().find(|(_, comment)| {
                comment.repository == scope.repository && comment.pull == pull && comment.text.starts_with(marker)
            });
            found.map(|(id, _)| *id)
        })
        .await
    }

    async fn create_comment(&self, scope: &Scope, pull: u64, text: &str) -> Result<CommentId, ApiError> {
        self.github("create_comment", |sim, _| sim.make_comment(scope, pull, text))
            .await
    }

    async fn update_comment(&self, _: &Scope, comment: CommentId, text: &str) -> Result<(), ApiError> {
        self.github("update_comment", |sim, _| sim.change_comment(comment, text))
            .await?
            .then_some(())
            .ok_or_else(|| not_found("update_comment"))
    }

    async fn cancel_run(&self, _: &Scope, run: RunId) -> Result<(), ApiError> {
        self.github("cancel_run", |sim, _| sim.cancelled_by_us(run)).await
    }

    async fn run_origin(&self, scope: &Scope, run: RunKey) -> Result<Origin, ApiError> {
        self.github("run_origin", |sim, _| sim.origin(scope, run))
            .await?
            .ok_or_else(|| not_found("run_origin"))
    }

    async fn may_write(&self, _: &Scope, _: &str) -> Result<bool, ApiError> {
        self.github("may_write", |_, _| false).await
    }

    async fn is_member(&self, _: &Scope, _: &Team, _: &str) -> Result<bool, ApiError> {
        self.github("is_member", |_, _| false).await
    }

    async fn pulls_from(&self, _: &Scope, _: &str, _: &str) -> Result<Vec<Pull>, ApiError> {
        self.github("pulls_from", |_, _| Vec::new()).await
    }

    async fn reviews(&self, _: &Scope, _: u64) -> Result<Vec<Review>, ApiError> {
        self.github("reviews", |_, _| Vec::new()).await
    }

    async fn label_events(&self, _: &Scope, _: u64) -> Result<Vec<LabelEvent>, ApiError> {
        self.github("label_events", |_, _| Vec::new()).await
    }
}
