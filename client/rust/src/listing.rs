//! Lists that fetch page by page.

use std::pin::Pin;
use std::task::{Context, Poll};

use futures_util::stream::{self, BoxStream, Stream, StreamExt, TryStreamExt};

use crate::error::{Error, Result};

/// A list that fetches page by page. Call [`next`](Self::next), or use it as a `Stream`. It ends
/// after its first error.
pub struct Listing<T>(BoxStream<'static, Result<T>>);

impl<T: Send + 'static> Listing<T> {
    /// Makes a list. `fetch` returns the items of a page, and the request for the next one.
    pub(crate) fn new<Q, Page>(first: Q, fetch: impl Fn(Q) -> Page + Clone + Send + 'static) -> Self
    where
        Q: Send + 'static,
        Page: Future<Output = Result<(Vec<T>, Option<Q>)>> + Send,
    {
        let pages = stream::try_unfold(Some(first), move |request| {
            let fetch = fetch.clone();
            async move {
                let Some(request) = request else {
                    return Ok(None);
                };
                let (items, next) = fetch(request).await?;
                let items = items.into_iter().map(Ok::<T, Error>);
                Ok::<_, Error>(Some((stream::iter(items), next)))
            }
        });
        Self(pages.try_flatten().boxed())
    }

    /// Returns the next item, or `None` after the last one.
    pub async fn next(&mut self) -> Option<Result<T>> {
        self.0.next().await
    }

    /// Returns all remaining items.
    ///
    /// # Errors
    ///
    /// The error of a page.
    pub async fn all(self) -> Result<Vec<T>> {
        self.0.try_collect().await
    }
}

impl<T> Stream for Listing<T> {
    type Item = Result<T>;

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        self.0.as_mut().poll_next(context)
    }
}
