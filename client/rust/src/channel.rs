//! Where a server is, and how a channel to it behaves.

use std::time::Duration;

use tonic::Code;
use tonic::transport::{Channel, Endpoint};

use crate::error::{Error, Result};

const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
const KEEPALIVE_INTERVAL: Duration = Duration::from_secs(30);
const KEEPALIVE_TIMEOUT: Duration = Duration::from_secs(10);

/// A channel that connects with its first call, and anew after a loss.
pub(crate) fn channel(address: &str) -> Result<Channel> {
    let endpoint = endpoint(address).ok_or_else(|| {
        let message = format!("an address is HOST:PORT or unix:PATH, not {address:?}");
        Error::new(Code::InvalidArgument, message)
    })?;
    if tokio::runtime::Handle::try_current().is_err() {
        let message = "a client is made within a Tokio runtime, such as #[tokio::main]";
        return Err(Error::new(Code::FailedPrecondition, message));
    }
    Ok(endpoint
        .connect_timeout(CONNECT_TIMEOUT)
        .http2_keep_alive_interval(KEEPALIVE_INTERVAL)
        .keep_alive_timeout(KEEPALIVE_TIMEOUT)
        .keep_alive_while_idle(true)
        .connect_lazy())
}

fn endpoint(address: &str) -> Option<Endpoint> {
    if let Some(path) = address.strip_prefix("unix:") {
        return (!path.is_empty()).then(|| Endpoint::from_shared(address.to_owned()).ok())?;
    }
    let (host, port) = address.rsplit_once(':')?;
    let sound = !host.is_empty() && !host.contains(['/', '@', '?', '#']);
    port.parse::<u16>().ok().filter(|_| sound)?;
    Endpoint::from_shared(format!("http://{address}")).ok()
}

#[cfg(test)]
mod tests {
    use super::endpoint;

    /// Addresses are HOST:PORT or unix:PATH and nothing else.
    #[test]
    fn addresses() {
        for good in ["localhost:50051", "127.0.0.1:1", "[::1]:2", "unix:/tmp/x"] {
            assert!(endpoint(good).is_some(), "{good}");
        }
        for bad in [
            "",
            "localhost",
            ":1",
            "h:",
            "h:99999",
            "http://h:1",
            "h:1/x",
            "unix:",
            "a b:1",
        ] {
            assert!(endpoint(bad).is_none(), "{bad}");
        }
    }
}
