//! What workers may do: `--user`, `--group`, `--sandbox`, `--require-sandbox`.

use super::fault::Fault;
use crate::cli::Args;
use crate::server::Jail;
use crate::sys::account::{self, Identity};
use crate::sys::{rights, sandbox};

/// Who workers become. Names are looked up here, before there is a worker that could not be told any more.
pub(super) fn identity(args: &Args) -> Result<Option<Identity>, Fault> {
    let option = match (&args.user, &args.group) {
        (None, None) => return Ok(None),
        (Some(_), _) => "--user",
        (None, Some(_)) => "--group",
    };
    if !rights::is_root() {
        return Err(Fault::start(
            option,
            format!("{option} is for root only: leave it out, or start as root"),
        ));
    }
    let unknown =
        |option, name: &str, error| Fault::usage(option, name, &format!("{error}; give a name or a number"));
    let user =
        args.user.as_deref().map(|name| account::user(name).map_err(|error| unknown("--user", name, error)));
    let (uid, first_group) = user.transpose()?.unwrap_or((0, None));
    if args.user.is_some() && uid == 0 {
        return Err(Fault::usage(
            "--user",
            args.user.as_deref().unwrap_or_default(),
            "give another than root, who keeps every right",
        ));
    }
    let group = args.group.as_deref();
    let group = group.map(|name| account::group(name).map_err(|error| unknown("--group", name, error)));
    let Some(gid) = group.transpose()?.or(first_group) else {
        return Err(Fault::start(option, format!("{uid} stands in no /etc/passwd: give a --group as well")));
    };
    Ok(Some(Identity { uid, gid }))
}

pub(super) fn jail(args: &Args) -> Result<Jail, Fault> {
    let option = "--require-sandbox";
    match (args.sandbox.as_str(), args.require_sandbox) {
        ("off", false) => Ok(Jail::Off),
        ("on", false) => Ok(Jail::BestEffort),
        ("off", true) => Err(Fault::usage("--sandbox", "off", "give on, or leave --require-sandbox out")),
        ("on", true) if sandbox::abi() >= sandbox::WHOLE_ABI => Ok(Jail::Required),
        ("on", true) => Err(Fault::start(
            option,
            format!(
                "this kernel's Landlock has version {} and {} is needed (Linux 6.7): leave {option} out",
                sandbox::abi(),
                sandbox::WHOLE_ABI
            ),
        )),
        (other, _) => Err(Fault::usage("--sandbox", other, "give on or off")),
    }
}
