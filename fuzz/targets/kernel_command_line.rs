//! Kernel parameters, and the agent's configuration files.
#![no_main]

use bytes::Bytes;
use libfuzzer_sys::fuzz_target;
use metalsim::boot::agent_files::{AgentFile, AgentFiles};
use metalsim::boot::kernel_command_line::CommandLine;
use metalsim_actors::node::effect::AgentParameters;

fuzz_target!(|data: &[u8]| {
    if let Ok(line) = CommandLine::parse(&String::from_utf8_lossy(data)) {
        let file = AgentFile {
            path: "/etc/ironic-python-agent.d/x.conf".into(),
            content: Bytes::copy_from_slice(data),
        };
        let told = line.told().then(AgentFiles::read(&[file]).told);
        let _ = told.over(&AgentParameters::default());
    }
});
