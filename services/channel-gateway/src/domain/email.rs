//! What mail means: bytes in, bytes out, and who may be answered by a machine. No transport is here.
//!
//! A mail is untrusted input of any size and shape: everything below is total, linear in the size of the mail, and
//! bounded by the limits of this module (channels.md §5.2, §7.25).

pub mod address;
pub mod automatic;
pub mod body;
pub mod bounce;
pub mod charset;
pub mod compose;
pub mod head;
pub mod html;
pub mod loops;
pub mod normalise;
pub mod plan;
pub mod read;
pub mod report;
pub mod typed;
pub mod visible;
pub mod walk;
pub mod words;

pub use normalise::{Fetched, File, Folder, Reading, Standing, normalise, reading};
pub use read::{Mail, Ours, read};

/// Parts of a mail that are looked at; later ones stay in the original only.
pub const PARTS_MAX: usize = 500;

/// Levels of multiparts that are entered; what lies deeper is taken as a file.
pub const DEPTH_MAX: usize = 20;

/// Bytes of text, and of HTML, that are analysed.
pub const TEXT_MAX: usize = 1024 * 1024;

/// Bytes of the text that travels in an event; the whole of it stays in the original.
pub const EVENT_TEXT_MAX: usize = 128 * 1024;

/// Shortens a text to so many bytes, between two characters.
pub fn shortened(text: &str, max: usize) -> &str {
    &text[..text.floor_char_boundary(max)]
}
