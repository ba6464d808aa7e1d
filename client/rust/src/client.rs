//! Where everything begins.

use std::time::Duration;

use crate::calls::Calls;
use crate::channel::channel;
use crate::error::Result;
use crate::handles::{ArmHandle, ExperimentHandle};
use crate::listing::Listing;
use crate::v1::{
    Event, Experiment, ListExperimentsRequest, RecordRequest, RecordResponse, StreamPosition,
};

/// A client of one server. Clones share its connection and are cheap.
#[derive(Clone, Debug)]
pub struct Client {
    calls: Calls,
}

impl Client {
    /// A client of the server at `HOST:PORT` or `unix:PATH`. The first call connects.
    ///
    /// # Errors
    ///
    /// `InvalidArgument`: the address is neither. `FailedPrecondition`: there is no Tokio runtime
    /// here.
    pub fn connect(address: &str) -> Result<Self> {
        let calls = Calls::new(channel(address)?);
        Ok(Self { calls })
    }

    /// The same client with other deadlines than 10 seconds for reads and 30 for writes.
    #[must_use]
    pub fn with_timeouts(mut self, reads: Duration, writes: Duration) -> Self {
        self.calls.read_timeout = reads;
        self.calls.write_timeout = writes;
        self
    }

    /// Every rpc as it is.
    #[must_use]
    pub fn calls(&self) -> &Calls {
        &self.calls
    }

    /// A handle on an experiment; no call is made.
    pub fn experiment(&self, name: impl Into<String>) -> ExperimentHandle {
        ExperimentHandle::new(self.clone(), name.into())
    }

    /// A handle on an arm; no call is made.
    pub fn arm(&self, experiment: impl Into<String>, name: impl Into<String>) -> ArmHandle {
        self.experiment(experiment).arm(name)
    }

    /// The experiments that pass the filters of a request, by name. `Default::default()` lists
    /// all.
    #[must_use]
    pub fn experiments(&self, request: ListExperimentsRequest) -> Listing<Experiment> {
        let calls = self.calls.clone();
        Listing::new(request, move |mut request: ListExperimentsRequest| {
            let calls = calls.clone();
            async move {
                let page = calls.list_experiments(request.clone()).await?;
                request.page_token = page.next_page_token;
                let next = (!request.page_token.is_empty()).then_some(request);
                Ok((page.experiments, next))
            }
        })
    }

    /// Records events of one experiment, all of them or none. With a position, they are applied
    /// exactly once; without one, the call is still safe to repeat.
    ///
    /// # Errors
    ///
    /// [`Error::refusals`](crate::Error::refusals) lists every refused event.
    pub async fn record(
        &self,
        experiment: impl Into<String>,
        events: Vec<Event>,
        position: Option<StreamPosition>,
    ) -> Result<RecordResponse> {
        let experiment = experiment.into();
        let request = RecordRequest {
            experiment,
            events,
            position,
        };
        self.calls.record(request).await
    }
}
