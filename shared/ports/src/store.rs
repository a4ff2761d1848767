//! The table.

use dayfly_records::{
    Bucket, BucketId, CachedConfig, Change, CheckRun, CheckRunKey, Cost, CostId, Delivery, FleetCall, Gate, Instance,
    Job, LaunchQueue, Ledger, LedgerId, Patrol, PoolMemory, Prices, PullReport, QueuedRunner, Record, RecordId, Run,
    Runner, Stored, VolumePrices, Wake, Watched, WrongKind,
};
use dayfly_types::ids::{
    DeliveryId, FleetId, InstanceId, InstanceType, JobKey, QueueId, Repository, RunId, RunKey, RunnerName,
};
use dayfly_types::month::Month;
use dayfly_types::time::Timestamp;

#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// Another call wrote in between: load and decide again.
    #[error("another call changed the record in the meantime")]
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

/// The answer to taking a token from a bucket.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Acquired {
    /// The bucket without the token.
    Taken(Bucket),
    /// The bucket has none; it is unchanged.
    Short(Bucket),
}

/// The one table that holds all state.
pub trait Store {
    /// Reads one record, strongly consistent.
    async fn load(&self, id: &RecordId) -> Result<Option<Stored<Record>>, StoreError>;

    /// Writes all of the changes or none: [`StoreError::Conflict`] if a record is no longer at the version that
    /// its change names. A new record gets [`Version::FIRST`](dayfly_records::Version::FIRST), any other the next
    /// one.
    async fn commit(&self, changes: Vec<Change>) -> Result<(), StoreError>;

    /// Returns the records due at `now`, earliest first, at most `limit`. The answer may lag behind the table:
    /// commit with the version it names.
    async fn due(&self, now: Timestamp, limit: usize) -> Result<Vec<Stored<Record>>, StoreError>;

    /// Takes a token from a bucket, unless the bucket is full only after `latest`.
    ///
    /// One write without a read: of any number of concurrent callers, each gets a token or none, without retries.
    async fn acquire(&self, bucket: BucketId, latest: Timestamp, now: Timestamp) -> Result<Acquired, StoreError>;

    /// Returns the ledgers of a month, of all budgets.
    async fn ledgers(&self, month: Month) -> Result<Vec<Stored<Ledger>>, StoreError>;

    /// Returns the costs of the instances launched in a month, earliest first.
    async fn costs(&self, month: Month) -> Result<Vec<Cost>, StoreError>;

    /// Returns the last `limit` costs of a month, latest first.
    async fn latest_costs(&self, month: Month, limit: usize) -> Result<Vec<Cost>, StoreError>;

    /// Returns whether any record is due at all, now or later. The answer may lag behind the table.
    async fn has_live_records(&self) -> Result<bool, StoreError>;

    async fn job(&self, key: JobKey) -> Result<Option<Stored<Job>>, StoreError> {
        typed(self.load(&RecordId::Job(key)).await?)
    }

    async fn runner(&self, name: &RunnerName) -> Result<Option<Stored<Runner>>, StoreError> {
        typed(self.load(&RecordId::Runner(name.clone())).await?)
    }

    /// Returns the runners that wait in a queue, strongly consistent.
    async fn waiting(&self, queue: &QueueId) -> Result<Vec<Stored<QueuedRunner>>, StoreError>;

    async fn fleet_call(&self, fleet: &FleetId) -> Result<Option<Stored<FleetCall>>, StoreError> {
        typed(self.load(&RecordId::FleetCall(fleet.clone())).await?)
    }

    async fn queue(&self, queue: &QueueId) -> Result<Option<Stored<LaunchQueue>>, StoreError> {
        typed(self.load(&RecordId::Queue(queue.clone())).await?)
    }

    async fn pools(&self) -> Result<Option<Stored<PoolMemory>>, StoreError> {
        typed(self.load(&RecordId::Pools).await?)
    }

    async fn bucket(&self, bucket: BucketId) -> Result<Option<Stored<Bucket>>, StoreError> {
        typed(self.load(&RecordId::Bucket(bucket)).await?)
    }

    async fn check_run(&self, run: RunId, key: impl Into<CheckRunKey>) -> Result<Option<Stored<CheckRun>>, StoreError> {
        typed(self.load(&RecordId::CheckRun(run, key.into())).await?)
    }

    /// Returns at most `limit` check runs of the jobs of a run attempt, strongly consistent.
    async fn check_runs(&self, run: RunKey, limit: usize) -> Result<Vec<Stored<CheckRun>>, StoreError>;

    async fn pull(&self, repository: &Repository, pull: u64) -> Result<Option<Stored<PullReport>>, StoreError> {
        typed(self.load(&RecordId::Pull(repository.clone(), pull)).await?)
    }

    async fn wake(&self) -> Result<Option<Stored<Wake>>, StoreError> {
        typed(self.load(&RecordId::Wake).await?)
    }

    async fn watched(&self) -> Result<Option<Stored<Watched>>, StoreError> {
        typed(self.load(&RecordId::Watched).await?)
    }

    async fn patrol(&self) -> Result<Option<Stored<Patrol>>, StoreError> {
        typed(self.load(&RecordId::Patrol).await?)
    }

    async fn gate(&self) -> Result<Option<Stored<Gate>>, StoreError> {
        typed(self.load(&RecordId::Gate).await?)
    }

    async fn ledger(&self, id: &LedgerId) -> Result<Option<Stored<Ledger>>, StoreError> {
        typed(self.load(&RecordId::Ledger(id.clone())).await?)
    }

    async fn cost(&self, id: &CostId) -> Result<Option<Stored<Cost>>, StoreError> {
        typed(self.load(&RecordId::Cost(id.clone())).await?)
    }

    async fn prices(&self, instance_type: &InstanceType) -> Result<Option<Stored<Prices>>, StoreError> {
        typed(self.load(&RecordId::Prices(instance_type.clone())).await?)
    }

    async fn volume_prices(&self) -> Result<Option<Stored<VolumePrices>>, StoreError> {
        typed(self.load(&RecordId::Volumes).await?)
    }

    /// Returns the cached configuration of a repository, or its cached file of that name.
    async fn config(
        &self,
        repository: &Repository,
        file: Option<&str>,
    ) -> Result<Option<Stored<CachedConfig>>, StoreError> {
        let id = RecordId::Config(repository.clone(), file.map(str::to_owned));
        typed(self.load(&id).await?)
    }

    async fn delivery(&self, delivery: &DeliveryId) -> Result<Option<Stored<Delivery>>, StoreError> {
        typed(self.load(&RecordId::Delivery(delivery.clone())).await?)
    }

    async fn run(&self, key: RunKey) -> Result<Option<Stored<Run>>, StoreError> {
        typed(self.load(&RecordId::Run(key)).await?)
    }

    async fn instance(&self, instance: &InstanceId) -> Result<Option<Stored<Instance>>, StoreError> {
        typed(self.load(&RecordId::Instance(instance.clone())).await?)
    }

    /// Returns the runner of an instance.
    async fn runner_on(&self, instance: &InstanceId) -> Result<Option<Stored<Runner>>, StoreError> {
        match self.instance(instance).await? {
            Some(found) => self.runner(&found.record.runner).await,
            None => Ok(None),
        }
    }
}

/// Converts a loaded record to the kind that its id implies.
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
