//! The folder of a real server, and the command that runs it.

use std::{
    fs,
    path::{Path, PathBuf},
};

use tokio::process::Command;

use super::{PASSWORD, Setup, USER};
use crate::FakeClock;

/// Java options for these servers.
const JAVA: &[&str] = &[
    "-Xmx1g",
    // A test is over before the optimizing compiler pays off.
    "-XX:TieredStopAtLevel=1",
    "-XX:+UseSerialGC",
    "--add-exports=java.naming/com.sun.jndi.ldap=ALL-UNNAMED",
    "--add-opens=java.base/java.util=ALL-UNNAMED",
    "--add-opens=java.base/java.util.concurrent=ALL-UNNAMED",
    "-Djava.net.preferIPv4Stack=true",
    "-Djava.util.logging.manager=org.infinispan.server.loader.LogManager",
    "-Dfile.encoding=UTF-8",
];

const LOGGING: &str = r#"<Configuration name="server" status="WARN">
  <Appenders>
    <Console name="STDOUT"><PatternLayout pattern="%d{HH:mm:ss,SSS} %-5p [%c{1}] %m%throwable%n"/></Console>
  </Appenders>
  <Loggers><Root level="INFO"><AppenderRef ref="STDOUT"/></Root></Loggers>
</Configuration>
"#;

const MECHANISMS: &str = "SCRAM-SHA-512 SCRAM-SHA-384 SCRAM-SHA-256 SCRAM-SHA-1 DIGEST-SHA-512 \
                          DIGEST-SHA-384 DIGEST-SHA-256 DIGEST-SHA DIGEST-MD5 PLAIN";

/// Files and ports of a server.
pub(super) struct Layout {
    /// Port for clients.
    pub(super) port: u16,
    /// Port for the other members of its cluster.
    pub(super) member: u16,
    /// Member ports of the whole cluster.
    pub(super) members: Vec<u16>,
    /// Folder of the server's jars.
    pub(super) jars: PathBuf,
    /// Folder of additional classes.
    pub(super) classes: Option<PathBuf>,
}

impl Layout {
    /// Writes the files that a server needs.
    pub(super) fn write(&self, root: &Path, setup: &Setup) {
        for folder in ["conf", "data", "log", "lib"] {
            fs::create_dir(root.join(folder)).expect("a folder");
        }
        let conf = |name: &str, text: &str| {
            fs::write(root.join("conf").join(name), text).expect("a file");
        };
        conf("infinispan.xml", &self.configuration(setup));
        conf("log4j2.xml", LOGGING);
        let plain = format!("{USER}={PASSWORD}\n");
        conf("users.properties", setup.users.unwrap_or(&plain));
        conf("groups.properties", &format!("{USER}=admin\n"));
        // Distributions always have a console.
        let console = root.join("static").join("console");
        fs::create_dir_all(&console).expect("a folder");
        fs::write(console.join("index.html"), "<html></html>").expect("a file");
        if let Some(ahead) = setup.clock {
            clock(root).set(ahead);
        }
    }

    /// Returns the command that runs the server in this folder.
    pub(super) fn command(&self, root: &Path, setup: &Setup) -> Command {
        let mut command = Command::new("java");
        if setup.clock.is_some() {
            command.envs(clock(root).environment());
        }
        let mut class_path = self.jars.join("*").into_os_string();
        if let Some(classes) = &self.classes {
            class_path.push(":");
            class_path.push(classes);
        }
        command
            .current_dir(root)
            .args(JAVA)
            .arg(format!("-Dinfinispan.server.home.path={}", root.display()))
            .arg("-cp")
            .arg(class_path)
            .args(["org.infinispan.server.Bootstrap", "-c", "infinispan.xml", "-k", "127.0.0.1"])
            .args(["-n", &format!("node-{}", self.port), "-g", &self.cluster()])
            .arg("-s")
            .arg(root);
        command
    }

    fn cluster(&self) -> String {
        let first = self.members.first().copied().unwrap_or(self.member);
        format!("cluster-{first}")
    }

    fn configuration(&self, setup: &Setup) -> String {
        let line = setup.version.namespace();
        let (caches, cluster, port, member) =
            (&setup.caches, self.cluster(), self.port, self.member);
        let hosts: Vec<String> =
            self.members.iter().map(|port| format!("127.0.0.1[{port}]")).collect();
        let (realm, endpoints) = security_and_endpoints(setup);
        format!(
            r#"<infinispan xmlns="urn:infinispan:config:{line}">
  <jgroups>
    <stack name="loopback">
      <TCP bind_addr="127.0.0.1" bind_port="{member}" port_range="0" diag.enabled="false"/>
      <TCPPING initial_hosts="{hosts}" port_range="0"/>
      <MERGE3 min_interval="1000" max_interval="5000"/>
      <FD_ALL3 timeout="4000" interval="1000"/>
      <VERIFY_SUSPECT2 timeout="500"/>
      <pbcast.NAKACK2 use_mcast_xmit="false"/>
      <UNICAST3/>
      <pbcast.STABLE desired_avg_gossip="5000"/>
      <pbcast.GMS print_local_addr="false" join_timeout="2000"/>
      <UFC max_credits="4m"/>
      <MFC max_credits="4m"/>
      <FRAG4 frag_size="60000"/>
    </stack>
  </jgroups>
  <cache-container name="default" statistics="true">
    <transport cluster="{cluster}" stack="loopback" node-name="node-{port}"/>
    {caches}
  </cache-container>
  <server xmlns="urn:infinispan:server:{line}">
    <interfaces>
      <interface name="public"><inet-address value="127.0.0.1"/></interface>
    </interfaces>
    <socket-bindings default-interface="public" port-offset="0">
      <socket-binding name="default" port="{port}"/>
    </socket-bindings>
    {realm}
    {endpoints}
  </server>
</infinispan>
"#,
            hosts = hosts.join(","),
        )
    }
}

fn security_and_endpoints(setup: &Setup) -> (String, String) {
    let announced = setup.announced.map_or_else(String::new, |address| {
        format!(r#" external-host="{}" external-port="{}""#, address.ip(), address.port())
    });
    if setup.login {
        let plain = setup.users.is_none();
        let realm = format!(
            r#"<security><security-realms><security-realm name="default">
      <properties-realm>
        <user-properties path="users.properties" plain-text="{plain}"/>
        <group-properties path="groups.properties"/>
      </properties-realm>
    </security-realm></security-realms></security>"#
        );
        let endpoints = format!(
            r#"<endpoints socket-binding="default" security-realm="default"><endpoint>
      <hotrod-connector{announced}><authentication>
        <sasl mechanisms="{MECHANISMS}" qop="auth" server-name="infinispan"/>
      </authentication></hotrod-connector>
      <rest-connector/>
    </endpoint></endpoints>"#
        );
        return (realm, endpoints);
    }
    let endpoints = format!(
        r#"<endpoints socket-binding="default"><endpoint>
      <hotrod-connector{announced}/><rest-connector/>
    </endpoint></endpoints>"#
    );
    (String::new(), endpoints)
}

/// Returns the clock of a server in this folder.
pub(super) fn clock(root: &Path) -> FakeClock {
    FakeClock::in_folder(root)
}

/// Removes everything that a server has stored.
pub(super) fn forget(root: &Path) {
    let data = root.join("data");
    fs::remove_dir_all(&data).expect("removed");
    fs::create_dir(&data).expect("a folder");
}
