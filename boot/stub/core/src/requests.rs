//! Searching the loaded kernel for the tag and the requests of the Limine protocol (sections "Base
//! protocol revisions", "Features" and "Requests Delimiters").

use crate::limine::{
    BASE_REVISION, BASE_REVISION_TAG, END_MARKER, Feature, OLDEST_BASE_REVISION, REQUEST,
    STACK_SIZE, START_MARKER, word,
};
use core::fmt;
use heapless::Vec;

/// The most requests that a kernel may make, those that the stub does not know included.
pub const MAX_REQUESTS: usize = 64;

/// Why the kernel cannot be answered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RequestError {
    /// Two base revision tags, or two requests for the same thing.
    Duplicate,
    /// More than [`MAX_REQUESTS`].
    TooMany,
    /// A request reaches past the end of the image.
    CutOff,
    /// The kernel has no tag, or wants a revision that is too old.
    BaseRevision,
    /// The kernel does not run with four levels of page tables.
    PagingMode,
}

impl fmt::Display for RequestError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Duplicate => f.write_str("it makes a Limine request twice"),
            Self::TooMany => write!(f, "it makes more than {MAX_REQUESTS} Limine requests"),
            Self::CutOff => f.write_str("a Limine request reaches past the end of its image"),
            Self::BaseRevision => {
                write!(f, "it has no Limine base revision tag, or one below {OLDEST_BASE_REVISION}")
            }
            Self::PagingMode => f.write_str("it needs five levels of page tables"),
        }
    }
}

/// A request: the last two words of its id, and where in the image it starts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Request {
    id: [u64; 2],
    at: usize,
}

/// What a kernel asks for. All positions are word numbers in its image.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Requests {
    requests: Vec<Request, MAX_REQUESTS>,
    tag: Option<usize>,
    wanted_revision: u64,
}

impl Requests {
    /// Searches the image. Only requests behind the last start marker and before the first end
    /// marker count, where there are markers.
    pub fn scan(image: &[u64]) -> Result<Self, RequestError> {
        let mut found = Self::default();
        for at in 0..image.len() {
            let rest = &image[at..];
            if rest.starts_with(&START_MARKER) {
                found = Self::default();
            } else if rest.starts_with(&END_MARKER) {
                break;
            } else if rest.starts_with(&BASE_REVISION_TAG) {
                let wanted = *rest.get(2).ok_or(RequestError::CutOff)?;
                if found.tag.replace(at).is_some() {
                    return Err(RequestError::Duplicate);
                }
                found.wanted_revision = wanted;
            } else if rest.starts_with(&REQUEST) {
                found.add(at, rest)?;
            }
        }
        if found.wanted_revision < OLDEST_BASE_REVISION {
            return Err(RequestError::BaseRevision);
        }
        Ok(found)
    }

    fn add(&mut self, at: usize, rest: &[u64]) -> Result<(), RequestError> {
        let (Some(&high), Some(&low)) = (rest.get(2), rest.get(3)) else {
            return Err(RequestError::CutOff);
        };
        let id = [high, low];
        if self.requests.iter().any(|request| request.id == id) {
            return Err(RequestError::Duplicate);
        }
        let words = Feature::ALL
            .into_iter()
            .find(|feature| feature.id() == id)
            .map_or(word::FIRST_MEMBER, Feature::words);
        if rest.len() < words {
            return Err(RequestError::CutOff);
        }
        self.requests.push(Request { id, at }).map_err(|_| RequestError::TooMany)
    }

    /// Where the request for `feature` starts, if the kernel makes it.
    pub fn find(&self, feature: Feature) -> Option<usize> {
        let id = feature.id();
        self.requests.iter().find(|request| request.id == id).map(|request| request.at)
    }

    /// The base revision that the kernel is loaded with: the one it wants, if the stub knows it.
    pub fn base_revision(&self) -> u64 {
        self.wanted_revision.min(BASE_REVISION)
    }

    /// Where the base revision tag is, and whether the revision that it wants is known.
    pub fn base_revision_tag(&self) -> Option<(usize, bool)> {
        self.tag.map(|at| (at, self.wanted_revision <= BASE_REVISION))
    }

    /// The stack that the kernel wants, but at least what the protocol promises.
    pub fn stack_size(&self, image: &[u64]) -> u64 {
        self.member(image, Feature::StackSize).unwrap_or(0).max(STACK_SIZE)
    }

    /// The entry point that the kernel wants instead of its file's.
    pub fn entry_point(&self, image: &[u64]) -> Option<u64> {
        self.member(image, Feature::EntryPoint)
    }

    /// Refuses a kernel that cannot run with four levels of page tables. From revision 1 on, a
    /// paging mode request has a third member, the lowest mode that the kernel supports.
    pub fn check_paging_mode(&self, image: &[u64]) -> Result<(), RequestError> {
        let Some(at) = self.find(Feature::PagingMode) else { return Ok(()) };
        let lowest = match image.get(at + word::REVISION) {
            Some(0) | None => 0,
            Some(_) => *image.get(at + word::FIRST_MEMBER + 2).ok_or(RequestError::CutOff)?,
        };
        if lowest == 0 { Ok(()) } else { Err(RequestError::PagingMode) }
    }

    fn member(&self, image: &[u64], feature: Feature) -> Option<u64> {
        image.get(self.find(feature)? + word::FIRST_MEMBER).copied()
    }
}
