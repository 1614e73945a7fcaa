//! Names of a recording: hooks, types of channels, states.

/// The hooks of a dispatcher, which have the first numbers.
pub const HOOKS: [&str; 6] =
    ["handle_read", "handle_write", "handle_timeout", "handle_wake", "handle_shutdown", "handle_expt"];

/// How many names are found at once.
const RECENT: usize = 32;

/// Texts by number, from 1. They are few, and each is in the program's own memory, so a look-up compares addresses first.
#[derive(Debug)]
pub(super) struct Names {
    /// As they were given (a type with its path, and a text at several addresses), with their numbers.
    given: Vec<(&'static str, u16)>,
    /// The numbers of those that were asked for last, by a part of their address.
    recent: [(&'static str, u16); RECENT],
    /// As they are shown, by number.
    shown: Vec<&'static str>,
}

impl Names {
    pub(super) fn new() -> Self {
        // Room for as many as programs have: a name that is seen for the first time allocates nothing.
        let mut names =
            Self { given: Vec::with_capacity(64), recent: [("", 0); RECENT], shown: Vec::with_capacity(64) };
        for hook in HOOKS {
            names.number(hook);
        }
        names
    }

    /// The number of `name`; 0 for the empty one.
    pub(super) fn number(&mut self, name: &'static str) -> u16 {
        // Names lie one behind the other in the program: their lowest bits differ.
        let place = name.as_ptr().addr() % RECENT;
        let (recent, number) = self.recent[place];
        if std::ptr::eq(recent, name) || name.is_empty() {
            return if name.is_empty() { 0 } else { number };
        }
        let known = self.given.iter().find(|(given, _)| std::ptr::eq::<str>(*given, name));
        let number = known.map(|(_, number)| *number).unwrap_or_else(|| self.find_or_add(name));
        self.recent[place] = (name, number);
        number
    }

    #[cold]
    fn find_or_add(&mut self, name: &'static str) -> u16 {
        let shown = short_type_name(name);
        let at = self.shown.iter().position(|other| *other == shown).unwrap_or_else(|| {
            self.shown.push(shown);
            self.shown.len() - 1
        });
        let number = u16::try_from(at + 1).unwrap_or(0);
        self.given.push((name, number));
        number
    }

    /// Numbers and texts.
    pub(super) fn iter(&self) -> impl Iterator<Item = (usize, &'static str)> {
        (1..).zip(self.shown.iter().copied())
    }

    pub(super) fn text(&self, number: u16) -> &'static str {
        usize::from(number).checked_sub(1).and_then(|at| self.shown.get(at)).copied().unwrap_or_default()
    }
}

/// The last part of the path of a type, without its parameters: `HttpChannel` for
/// `stheno::server::channel::HttpChannel<stheno::files::FileService>`.
fn short_type_name(path: &'static str) -> &'static str {
    let path = path.split('<').next().unwrap_or(path);
    path.rsplit("::").next().unwrap_or(path)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_has_one_number() {
        let mut names = Names::new();
        assert_eq!((names.number(""), names.number("handle_read"), names.number("handle_expt")), (0, 1, 6));
        let copy: &'static str = String::from("Reading").leak();
        assert_eq!((names.number("Reading"), names.number(copy)), (7, 7));
        assert_eq!((names.text(7), names.text(0), names.text(99)), ("Reading", "", ""));
        assert_eq!(names.iter().last(), Some((7, "Reading")));
    }

    #[test]
    fn a_type_has_a_short_name() {
        assert_eq!(short_type_name("a::b::HttpChannel<a::files::FileService>"), "HttpChannel");
        assert_eq!(short_type_name("Echo"), "Echo");
    }
}
