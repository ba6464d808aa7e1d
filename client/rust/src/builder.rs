//! The builder of a client.

use std::path::PathBuf;

use crate::calls::Calls;
use crate::channel::{addresses, channel, channel_to_one};
use crate::client::Client;
use crate::error::Result;
use crate::security::{CallMetadata, Tls, Token, is_local};
use crate::servers::Servers;

/// Makes a client; see [`Client::builder`].
///
/// ```no_run
/// # fn made() -> Result<podium::Client, podium::Error> {
/// podium::Client::builder("results.example.org:50051")
///     .tls(podium::Tls { ca: Some("ca.pem".into()), ..Default::default() })
///     .token_file("/run/secrets/podium")
///     .connect()
/// # }
/// ```
#[derive(Clone, Debug)]
#[must_use]
pub struct Builder {
    address: String,
    tls: Result<Option<Tls>>,
    token: Option<Token>,
}

impl Builder {
    pub(crate) fn new(address: &str) -> Self {
        Self {
            address: address.to_owned(),
            tls: if address.trim_start().starts_with("unix:") {
                Ok(None)
            } else {
                Tls::from_env()
            },
            token: Token::from_env(),
        }
    }

    /// Encrypts the connection with these files. `None` turns encryption off, even if the
    /// environment asks for it.
    pub fn tls(mut self, tls: impl Into<Option<Tls>>) -> Self {
        self.tls = Ok(tls.into());
        self
    }

    /// Sends a token with each call. The connection must be encrypted, or lead to a socket or to a
    /// port of this machine.
    pub fn token(mut self, token: impl Into<String>) -> Self {
        self.token = Some(Token::Text(token.into()));
        self
    }

    /// Sends the token in a file with each call. The file is read for each call, so that a new
    /// token can replace an old one.
    pub fn token_file(mut self, path: impl Into<PathBuf>) -> Self {
        self.token = Some(Token::File(path.into()));
        self
    }

    /// Makes the client. The first call connects.
    ///
    /// # Errors
    ///
    /// `InvalidArgument`: the address is not `HOST:PORT` or `unix:PATH`, or a file of TLS cannot
    /// be used. `FailedPrecondition`: there is no Tokio runtime.
    pub fn connect(self) -> Result<Client> {
        let tls = self.tls?;
        let addresses = addresses(&self.address);
        let name = addresses.join(",");
        let mut calls = if let [address] = addresses[..] {
            Calls::new(channel(address, tls.as_ref())?, &name)
        } else {
            let channels = addresses
                .iter()
                .map(|each| channel_to_one(each, tls.as_ref()))
                .collect::<Result<Vec<_>>>()?;
            Calls::new(Servers::new(channels), &name)
        };
        calls.others = addresses.len() - 1;
        calls.metadata = CallMetadata {
            token: self.token,
            is_exposed: tls.is_none() && !addresses.iter().all(|each| is_local(each)),
            ..Default::default()
        };
        Ok(Client::new(calls))
    }
}
