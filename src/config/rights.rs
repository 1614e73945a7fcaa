//! What workers may do: `--user`, `--group`, `--sandbox`, `--require-sandbox`.

use super::error::ConfigError;
use super::values::Values;
use crate::server::Jail;
use crate::sys::account::{self, Identity};
use crate::sys::rights;

/// The user and group that workers become. Names are looked up here, because a worker could no longer report a mistake.
pub(crate) fn identity(values: &Values) -> Result<Option<Identity>, ConfigError> {
    let (user, group) = (values.get("user"), values.get("group"));
    let option = match (&user, &group) {
        (None, None) => return Ok(None),
        (Some(_), _) => "--user",
        (None, Some(_)) => "--group",
    };
    let start_error = |line| Err(values.sources().start_error(option, line));
    if !rights::is_root() {
        return start_error(format!("{option} is for root only: leave it out, or start as root"));
    }
    let unknown = |name, error| values.usage(name, &format!("{error}; give a name or a number"));
    let user = user.map(|name| account::user(name).map_err(|error| unknown("user", error))).transpose()?;
    if user.is_some_and(|(uid, _)| uid == 0) {
        return Err(values.usage("user", "give another than root, which keeps every right"));
    }
    let (uid, first_group) = user.unwrap_or((0, None));
    let group =
        group.map(|name| account::group(name).map_err(|error| unknown("group", error))).transpose()?;
    match group.or(first_group) {
        Some(gid) => Ok(Some(Identity { uid, gid })),
        None => start_error(format!("/etc/passwd has no user {uid}: give a --group as well")),
    }
}

pub(super) fn jail(values: &Values) -> Result<Jail, ConfigError> {
    let option = "--require-sandbox";
    match (values.text("sandbox"), values.has("require-sandbox")) {
        ("off", false) => Ok(Jail::Off),
        ("on", false) => Ok(Jail::BestEffort),
        ("off", true) => Err(values.usage("sandbox", "give on, or leave --require-sandbox out")),
        ("on", true) => Jail::missing().map_or(Ok(Jail::Required), |missing| {
            Err(values
                .sources()
                .start_error(option, format!("this kernel lacks {missing}: leave {option} out")))
        }),
        _ => Err(values.usage("sandbox", "give on or off")),
    }
}
