//! The transcript: what a person reads while the story plays.

use crate::output::{say, words};

/// Width of the names at the left.
const NAMES: usize = 13;

/// Prints the transcript.
pub(crate) struct Transcript {
    colour: bool,
    scene: usize,
    title: String,
    checks: usize,
}

impl Transcript {
    /// Begins a transcript.
    pub fn new(colour: bool) -> Self {
        Self {
            colour,
            scene: 0,
            title: String::new(),
            checks: 0,
        }
    }

    /// The title above everything, and a line below it.
    pub fn begin(&mut self, title: &str, line: &str) {
        say!("{}", self.styled("1", title));
        say!("{}", self.styled("2", line));
    }

    /// Begins a scene.
    pub fn scene(&mut self, title: &str) {
        self.scene += 1;
        title.clone_into(&mut self.title);
        say!(
            "\n{}",
            self.styled("1;36", &format!("{}. {title}", self.scene))
        );
    }

    /// The title of the scene that plays.
    pub fn scene_title(&self) -> &str {
        &self.title
    }

    /// Somebody says something.
    pub fn says(&self, who: &str, text: &str) {
        say!(
            "  {} {text}",
            self.styled("1", &format!("{:>NAMES$} »", words::short(who, NAMES)))
        );
    }

    /// Somebody does something.
    pub fn does(&self, who: &str, text: &str) {
        say!(
            "  {} {}",
            self.styled("1", &format!("{:>NAMES$} ·", words::short(who, NAMES))),
            self.styled("3", text)
        );
    }

    /// A fact that was checked.
    pub fn fact(&mut self, label: &str, text: &str) {
        self.checks += 1;
        say!(
            "  {} {} {text}",
            self.styled("2", &format!("{label:>NAMES$}")),
            self.styled("32", "✓")
        );
    }

    /// More about the fact above.
    pub fn more(&self, text: &str) {
        say!("  {:>NAMES$}   {}", "", self.styled("2", text));
    }

    /// The story stopped.
    pub fn broken(&self) {
        say!(
            "  {:>NAMES$} {}",
            "",
            self.styled("31", "✗ the story stops here")
        );
    }

    /// How many facts were checked.
    pub fn checks(&self) -> usize {
        self.checks
    }

    /// A line in a style; none where it is empty.
    pub fn line(&self, style: &str, text: &str) {
        say!("  {}", self.styled(style, text));
    }

    /// Text in a style, where colour may be used.
    fn styled(&self, code: &str, text: &str) -> String {
        if self.colour && !code.is_empty() {
            format!("\u{1b}[{code}m{text}\u{1b}[0m")
        } else {
            text.to_owned()
        }
    }
}
