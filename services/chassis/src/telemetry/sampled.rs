//! Lines that repeat: of each place in the code so many are written in a while, the others are counted. The next line from there
//! tells how many were left out. Below `info` nothing is left out: who asked for it wants all of it.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use tracing::callsite::Identifier;
use tracing::{Event, Level, Metadata, Subscriber};
use tracing_subscriber::layer::{Context, Filter};

use crate::figures;

/// Lines of one place that are written in one while.
const WRITTEN: u32 = 50;

/// How long a while is.
const WHILE: Duration = Duration::from_secs(10);

/// What was written lately, place by place: as many as the code has.
#[derive(Default)]
pub(super) struct Sampled(Mutex<HashMap<Identifier, Place>>);

/// A place in the code.
#[derive(Debug, Default, Clone, Copy)]
struct Place {
    began: Option<Instant>,
    written: u32,
    left_out: u64,
}

impl Place {
    /// Tells whether one more line is written now.
    fn admit(&mut self, now: Instant) -> bool {
        if self
            .began
            .is_none_or(|began| now.duration_since(began) >= WHILE)
        {
            self.began = Some(now);
            self.written = 0;
        }
        let admitted = self.written < WRITTEN;
        if admitted {
            self.written += 1;
        } else {
            self.left_out += 1;
        }
        admitted
    }
}

impl Sampled {
    /// Returns how many lines of a place were left out since it was asked last.
    pub fn left_out(&self, place: &Identifier) -> u64 {
        let mut places = self.places();
        places
            .get_mut(place)
            .map_or(0, |place| std::mem::take(&mut place.left_out))
    }

    fn places(&self) -> MutexGuard<'_, HashMap<Identifier, Place>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The filter of a layer.
pub(super) struct ByPlace(pub Arc<Sampled>);

impl<S: Subscriber> Filter<S> for ByPlace {
    fn enabled(&self, _: &Metadata<'_>, _: &Context<'_, S>) -> bool {
        true
    }

    fn event_enabled(&self, event: &Event<'_>, _: &Context<'_, S>) -> bool {
        let metadata = event.metadata();
        if *metadata.level() > Level::INFO {
            return true;
        }
        let admitted = self
            .0
            .places()
            .entry(metadata.callsite())
            .or_default()
            .admit(Instant::now());
        if !admitted {
            figures::LOG_LEFT_OUT.increment(1);
        }
        admitted
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn o210_what_repeats_is_left_out_counted_and_written_again_after_a_while() {
        let start = Instant::now();
        let mut place = Place::default();
        let written = (0..200).filter(|_| place.admit(start)).count();
        assert_eq!((written, place.left_out), (50, 150));
        assert!(!place.admit(start + Duration::from_secs(9)));
        assert!(place.admit(start + Duration::from_secs(10)));
    }
}
