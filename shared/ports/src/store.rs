//! The table.

use dayfly_records::{
    Bucket, BucketId, CachedConfig, Change, CheckRun, Cost, CostId, Delivery, FleetCall, Gate, Instance, Job,
    LaunchQueue, Ledger, LedgerId, Patrol, PoolMemory, Prices, PullReport, Record, RecordId, Run, Runner, Stored,
    VolumePrices, Waiting, Wake, Watched, WrongKind,
};
use dayfly_types::ids::{
    DeliveryId, FleetId, InstanceId, InstanceType, JobKey, QueueId, Repository, RunId, RunKey, RunnerName,
};
use dayfly_types::month::Month;
use dayfly_types::time::Timestamp;

/// Why the table did not do what was asked.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// Somebody else wrote in between: load again and decide again.
    #[error("the record was changed by somebody else in the meantime")]
    Conflict,
    /// The table could not be reached, or refused.
    #[error("the table did not answer: {0}")]
    Unavailable(String),
    /// An item is not what its key says.
    #[error("an item of the table cannot be read: {0}")]
    Unreadable(String),
}

impl From<WrongKind> for StoreError {
    fn from(wrong: WrongKind) -> Self {
        Self::Unreadable(wrong.to_string())
    }
}

/// What asking a bucket for a call came to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Acquired {
    /// Here is one; the bucket without it.
    Taken(Bucket),
    /// There is none; the bucket as it stands.
    Short(Bucket),
}

/// The one table that holds all state.
pub trait Store {
    /// Reads one record as it stands now, not as an older copy has it.
    async fn load(&self, id: &RecordId) -> Result<Option<Stored<Record>>, StoreError>;

    /// Writes all of the changes, or none: [`StoreError::Conflict`] if any of the records is no
    /// longer at the version that it names. A record that is new gets
    /// [`Version::FIRST`](dayfly_records::Version::FIRST), every other the next one.
    async fn commit(&self, changes: Vec<Change>) -> Result<(), StoreError>;

    /// The records that are due at `now`, earliest first, at most `limit`. The answer may lag
    /// behind the table: commit with the version it names.
    async fn due(&self, now: Timestamp, limit: usize) -> Result<Vec<Stored<Record>>, StoreError>;

    /// Takes a call out of a bucket, unless it is full only after `latest`. Answers the bucket then, or
    /// as it stands.
    ///
    /// One write that nobody has to have read it for: of however many who ask at once each gets a call
    /// of its own, or none, and nobody has to ask again because another was faster.
    async fn acquire(&self, bucket: BucketId, latest: Timestamp, now: Timestamp) -> Result<Acquired, StoreError>;

    /// What was spent and is reserved in a month, by all who pay.
    async fn ledgers(&self, month: Month) -> Result<Vec<Stored<Ledger>>, StoreError>;

    /// What the instances have cost that were launched in a month, the earliest first.
    async fn costs(&self, month: Month) -> Result<Vec<Cost>, StoreError>;

    /// The same of the last so many of them, the latest first.
    async fn latest_costs(&self, month: Month, limit: usize) -> Result<Vec<Cost>, StoreError>;

    /// Whether any record is due at all, now or later. The answer may lag behind the table.
    async fn anything_lives(&self) -> Result<bool, StoreError>;

    /// A job.
    async fn job(&self, key: JobKey) -> Result<Option<Stored<Job>>, StoreError> {
        typed(self.load(&RecordId::Job(key)).await?)
    }

    /// A runner.
    async fn runner(&self, name: &RunnerName) -> Result<Option<Stored<Runner>>, StoreError> {
        typed(self.load(&RecordId::Runner(name.clone())).await?)
    }

    /// Those who wait in a queue, as the table has it now: nobody whose write was answered is left out.
    async fn waiting(&self, queue: &QueueId) -> Result<Vec<Stored<Waiting>>, StoreError>;

    /// A call to EC2.
    async fn fleet_call(&self, fleet: &FleetId) -> Result<Option<Stored<FleetCall>>, StoreError> {
        typed(self.load(&RecordId::FleetCall(fleet.clone())).await?)
    }

    /// Who launches what waits in a queue.
    async fn queue(&self, queue: &QueueId) -> Result<Option<Stored<LaunchQueue>>, StoreError> {
        typed(self.load(&RecordId::Queue(queue.clone())).await?)
    }

    /// What befell the pools.
    async fn pools(&self) -> Result<Option<Stored<PoolMemory>>, StoreError> {
        typed(self.load(&RecordId::Pools).await?)
    }

    /// How many calls of a kind may still be made.
    async fn bucket(&self, bucket: BucketId) -> Result<Option<Stored<Bucket>>, StoreError> {
        typed(self.load(&RecordId::Bucket(bucket)).await?)
    }

    /// What a job's check run is to say.
    async fn check_run(&self, run: RunId, key: JobKey) -> Result<Option<Stored<CheckRun>>, StoreError> {
        typed(self.load(&RecordId::CheckRun(run, key)).await?)
    }

    /// What the check runs of the jobs of an attempt are to say, of at most so many, as the table has it
    /// now: none whose write was answered is left out.
    async fn check_runs(&self, run: RunKey, limit: usize) -> Result<Vec<Stored<CheckRun>>, StoreError>;

    /// What a pull request's comment is to say.
    async fn pull(&self, repository: &Repository, pull: u64) -> Result<Option<Stored<PullReport>>, StoreError> {
        typed(self.load(&RecordId::Pull(repository.clone(), pull)).await?)
    }

    /// The switch of the minute schedule.
    async fn wake(&self) -> Result<Option<Stored<Wake>>, StoreError> {
        typed(self.load(&RecordId::Wake).await?)
    }

    /// The repositories that had jobs.
    async fn watched(&self) -> Result<Option<Stored<Watched>>, StoreError> {
        typed(self.load(&RecordId::Watched).await?)
    }

    /// How far patrol has come.
    async fn patrol(&self) -> Result<Option<Stored<Patrol>>, StoreError> {
        typed(self.load(&RecordId::Patrol).await?)
    }

    /// Who has a place, and who waits for one.
    async fn gate(&self) -> Result<Option<Stored<Gate>>, StoreError> {
        typed(self.load(&RecordId::Gate).await?)
    }

    /// What was spent and is reserved in a month, by one who pays.
    async fn ledger(&self, id: &LedgerId) -> Result<Option<Stored<Ledger>>, StoreError> {
        typed(self.load(&RecordId::Ledger(id.clone())).await?)
    }

    /// What an instance has cost.
    async fn cost(&self, id: &CostId) -> Result<Option<Stored<Cost>>, StoreError> {
        typed(self.load(&RecordId::Cost(id.clone())).await?)
    }

    /// What AWS told of the prices of a type.
    async fn prices(&self, instance_type: &InstanceType) -> Result<Option<Stored<Prices>>, StoreError> {
        typed(self.load(&RecordId::Prices(instance_type.clone())).await?)
    }

    /// What AWS told of the prices of volumes.
    async fn volume_prices(&self) -> Result<Option<Stored<VolumePrices>>, StoreError> {
        typed(self.load(&RecordId::Volumes).await?)
    }

    /// A repository's configuration, or its file of that name, as it was last seen.
    async fn config(
        &self,
        repository: &Repository,
        file: Option<&str>,
    ) -> Result<Option<Stored<CachedConfig>>, StoreError> {
        let id = RecordId::Config(repository.clone(), file.map(str::to_owned));
        typed(self.load(&id).await?)
    }

    /// A delivery.
    async fn delivery(&self, delivery: &DeliveryId) -> Result<Option<Stored<Delivery>>, StoreError> {
        typed(self.load(&RecordId::Delivery(delivery.clone())).await?)
    }

    /// A run.
    async fn run(&self, key: RunKey) -> Result<Option<Stored<Run>>, StoreError> {
        typed(self.load(&RecordId::Run(key)).await?)
    }

    /// Which runner an instance is.
    async fn instance(&self, instance: &InstanceId) -> Result<Option<Stored<Instance>>, StoreError> {
        typed(self.load(&RecordId::Instance(instance.clone())).await?)
    }

    /// The runner that an instance is.
    async fn runner_on(&self, instance: &InstanceId) -> Result<Option<Stored<Runner>>, StoreError> {
        match self.instance(instance).await? {
            Some(found) => self.runner(&found.record.runner).await,
            None => Ok(None),
        }
    }
}

/// What was loaded, as the kind of record that it must be.
fn typed<R: TryFrom<Record, Error = WrongKind>>(
    loaded: Option<Stored<Record>>,
) -> Result<Option<Stored<R>>, StoreError> {
    loaded
        .map(|Stored { record, version }| {
            Ok(Stored {
                record: R::try_from(record)?,
                version,
            })
        })
        .transpose()
}
