//! The whole of dayfly on one machine. Only the two clouds are replaced: AWS is ministack with IAM
//! enforced, GitHub is the twin, instances are processes; the functions, the template, the agent and
//! the user data are the real ones.
#![cfg_attr(test, allow(clippy::unwrap_used, clippy::expect_used))]

pub mod aws;
pub mod board;
pub mod cloud;
pub mod command;
pub mod demo;
pub mod deploy;
pub mod ec2_proxy;
pub mod fis;
pub mod front_door;
pub mod function_url;
pub mod functions;
pub mod healing;
pub mod http;
pub mod instances;
pub mod keep;
pub mod lab;
pub mod logs;
pub mod ministack;
pub mod page;
pub mod policy;
pub mod process;
pub mod progress;
pub mod scenario;
pub mod sigv4;
pub mod stop;
pub mod template;
pub mod timeline;
pub mod up;
pub mod watch;
