//! The OTLP client: gRPC over connections of its own, HTTP over a pool.

pub mod channel;
pub mod connection;
pub mod dial;
pub mod grpc;
pub mod http;
pub mod outcome;
pub mod proxy;
pub mod py;
pub mod resolve;
pub mod tls;

use std::fmt::Display;

use ::http::{HeaderName, HeaderValue};
use bytes::Bytes;

use super::admission::admission;

pub use outcome::Outcome;

pub type Headers = Vec<(HeaderName, HeaderValue)>;

/// Work away from the threads that move bytes, no more at a time than there are processors.
async fn aside<T, E>(work: impl FnOnce() -> Result<T, E> + Send + 'static) -> Result<T, String>
where
    T: Send + 'static,
    E: Display + Send + 'static,
{
    let permit = super::runtime::processors().acquire().await.map_err(|error| error.to_string())?;
    let guarded = move || {
        let result = work();
        drop(permit);
        result
    };
    match tokio::task::spawn_blocking(guarded).await {
        Ok(result) => result.map_err(|error| error.to_string()),
        Err(error) => Err(error.to_string()),
    }
}

/// Bytes that the budget of the process counts for as long as they live.
fn hold(bytes: Vec<u8>) -> Bytes {
    admission().count(bytes.len()).hold(bytes.into())
}
