//! Time, size and rate limits of requests to Azure.

use std::time::Duration;

/// The limits of requests, apart from the deadline of a call.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct RequestLimits {
    /// Time to connect, including TLS.
    pub connect: Duration,
    /// Time for one attempt at a request that may be repeated. A read takes a second or two; ending
    /// one that hangs leaves time for another attempt.
    pub attempt: Duration,
    /// Time for one attempt at any request, if its deadline is later.
    pub request: Duration,
    /// Size of a response body in bytes, after decompression.
    pub response_bytes: usize,
    /// Requests in flight per subscription or vault. A read takes 0.3 to 1 s, so the pace of 25 reads
    /// a second needs up to 25; three quarters of the permits, for background requests, are enough
    /// for nine tenths of the pace.
    pub in_flight: usize,
    /// Apps of one subscription whose settings may be written at the same time. Each has up to two
    /// requests in flight, which do not count for `in_flight`. A write takes three tokens and 2 to
    /// 3 s, so the pace of 10 tokens a second needs up to 10 writers.
    pub writers: usize,
    /// Rate of reads per subscription and identity: the one that Resource Manager allows a principal,
    /// per subscription and region. There is no margin, because the throttle slows down when Azure
    /// reports that less than a fourth of the burst is left.
    pub reads: Rate,
    /// Rate of all other requests per subscription and identity, including reads of settings.
    pub writes: Rate,
}

/// The rate of a token bucket.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Rate {
    /// The capacity of the bucket: the number of requests that may be sent at once after an idle
    /// period.
    pub burst: u32,
    /// The number of tokens added each second.
    pub per_second: f64,
}

impl RequestLimits {
    pub(crate) const ATTEMPT: Duration = Duration::from_secs(10);
    pub(crate) const RESPONSE_BYTES: usize = 16 * 1024 * 1024;
}

impl Default for RequestLimits {
    fn default() -> Self {
        Self {
            connect: Duration::from_secs(5),
            attempt: Self::ATTEMPT,
            request: Duration::from_secs(60),
            response_bytes: Self::RESPONSE_BYTES,
            in_flight: 32,
            writers: 12,
            reads: Rate {
                burst: 250,
                per_second: 25.0,
            },
            writes: Rate {
                burst: 200,
                per_second: 10.0,
            },
        }
    }
}
