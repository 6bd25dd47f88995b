//! The storage's plugin is swapped while the bot answers a burst.

use std::path::Path;

use cofferdam::Storage;
use cofferdam::config::{Config, PluginSource};
use cofferdam_tests::harness::command::cofferdam;
use cofferdam_tests::harness::plugins;
use rustix::process::Signal;

use crate::rig::{Bot, On, Rig, rounds};

/// What is there instead of a component, all of a sudden or by mistake.
const BAD: &[u8] = b"this is no component";

/// Puts a component where the configuration finds it, as whole files are put there.
fn install(content: &[u8], file: &Path) {
    let beside = file.with_extension("new");
    std::fs::write(&beside, content).unwrap();
    std::fs::rename(&beside, file).unwrap();
}

/// Swaps by name. On a machine that is busy a swap may be refused for its time: it is asked for again.
fn swap(rig: &Rig, file: &str, exit: i32) -> String {
    for _ in 0..20 {
        let mut swap = std::process::Command::new(cofferdam().unwrap());
        swap.env_clear().args(["plugin", "swap", file, "--socket"]).arg(rig.socket());
        let output = swap.output().unwrap();
        if output.status.code() != Some(3) {
            let said = String::from_utf8_lossy(&[output.stdout, output.stderr].concat()).into_owned();
            assert_eq!(output.status.code(), Some(exit), "{said}");
            return said;
        }
    }
    panic!("{file} is refused again and again");
}

async fn a_plugin_is_swapped_in_a_burst(on: On) {
    let builds = match on {
        On::Sqlite => [plugins::SQLITE_OTHER_BUILD, plugins::SQLITE],
        On::Mysql => [plugins::MYSQL_OTHER_BUILD, plugins::MYSQL],
    };
    let rig = Rig::new(on, 8).await;
    for build in builds {
        // Compiled before, since a machine that is busy with tests may take longer than a swap may.
        let plugin = PluginSource::File(build.into());
        drop(Storage::builder(Config { plugin, ..rig.home.config() }).build());
    }
    let file = rig.folder.path().join("plugin.wasm");
    install(&std::fs::read(builds[1]).unwrap(), &file);
    let bot = Bot::start_with(&rig, &[], &[("COFFERDAM_PLUGIN", file.display().to_string())]);
    let thread = rig.ask(rig.channel(0));
    rig.answered(&bot).await;
    let ask_all = || {
        for channel in 0..8 {
            rig.ask(rig.channel(channel));
        }
        rig.ask_in_thread(thread);
    };
    let rounds = rounds(2, 10);
    for round in 0..rounds {
        ask_all();
        let refused = bot.log().matches("the plugin was not swapped").count();
        install(BAD, &file);
        bot.signal(Signal::HUP);
        bot.says_so_often("the plugin was not swapped", refused + 1).await;
        ask_all();
        install(&std::fs::read(builds[round % 2]).unwrap(), &file);
        bot.signal(Signal::HUP);
        // By name too: whichever is first, one swap is made.
        let answer = swap(&rig, builds[round % 2], 0);
        assert!(answer.contains("answers"), "{answer}");
        let answer = swap(&rig, plugins::guests::OTHER_VERSION, 1);
        assert!(answer.contains("speaks cofferdam:storage 0.3.0"), "{answer}");
        ask_all();
        rig.answered(&bot).await;
    }
    let status = rig.status(&rig.socket()).await.unwrap();
    let swaps = &status["plugin"]["swaps"];
    assert_eq!((swaps["swapped"].as_u64(), swaps["swapped_back"].as_u64()), (Some(rounds as u64), Some(0)), "{status}");
    // And whatever was refused for its time.
    assert!(swaps["refused"].as_u64() >= Some(2 * rounds as u64), "{status}");
    assert_eq!(status["ready"], true, "{status}");
    bot.stop().await;
    rig.prove("a plugin swapped in a burst").await;
}

on_both!(a_plugin_is_swapped_in_a_burst);
