//! Handles of experiments and arms.

mod arm;
mod experiment;
mod large_arms;
mod run;

pub use arm::ArmHandle;
pub use experiment::ExperimentHandle;
pub use run::ArmRun;

use tonic::Code;

use crate::error::{Error, Result};

/// The number of attempts to read data of one state by several calls.
const ATTEMPTS: usize = 5;
const LARGEST_PAGE: i32 = 1000;

/// Reads data by several calls until it did not change between them. `read` returns `None` if it
/// did.
async fn in_one_state<T, Read>(what: &str, mut read: impl FnMut() -> Read) -> Result<T>
where
    Read: Future<Output = Result<Option<T>>>,
{
    for _ in 0..ATTEMPTS {
        if let Some(found) = read().await? {
            return Ok(found);
        }
    }
    let message = format!(
        "{what} changed {ATTEMPTS} times while it was read: it is too busy to be read as a whole; \
         try again, or ask for less"
    );
    Err(Error::new(Code::Aborted, message))
}
