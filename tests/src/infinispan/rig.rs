//! Programs from Maven and npm, downloaded once and kept.
//!
//! They are kept in `interop` beside the folder of the build profile, or in `GODWIT_INTEROP_DIR`,
//! and reused until the file that names their versions changes.

use std::{
    ffi::OsStr,
    fs,
    path::{Path, PathBuf},
    process::Stdio,
    sync::{Mutex, PoisonError},
    time::Duration,
};

use tokio::process::Command;

use crate::note;

/// Serializes downloads, so that two tests that need the same program do not both fetch it.
static RESOLVING: Mutex<()> = Mutex::new(());

/// Longest run of a program.
const PATIENCE: Duration = Duration::from_secs(180);

/// Output and exit status of a program.
#[derive(Debug)]
pub struct Ran {
    /// What it wrote to its standard output.
    pub output: String,
    /// What it wrote to its standard error.
    pub errors: String,
    /// Whether it exited successfully.
    pub success: bool,
}

impl Ran {
    /// Returns the lines of its output.
    ///
    /// # Panics
    ///
    /// If the program failed.
    #[must_use]
    pub fn lines(&self) -> Vec<&str> {
        assert!(self.success, "{}\n{}", self.output, self.errors);
        self.output.lines().collect()
    }
}

/// A compiled Java program.
#[derive(Clone, Debug)]
pub struct JavaProgram {
    classes: PathBuf,
    jars: PathBuf,
    main: String,
}

/// Returns the folder of the rig's sources.
fn sources() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("rig")
}

/// Returns the folder that holds everything.
fn home() -> PathBuf {
    if let Some(home) = std::env::var_os("GODWIT_INTEROP_DIR") {
        return home.into();
    }
    // Test binaries are in target/<profile>/deps.
    let test = std::env::current_exe().expect("this test");
    test.ancestors().nth(3).expect("the target folder").join("interop")
}

/// Returns the folder of the jars that a pom of the rig names.
pub(super) fn jars(pom: &str) -> PathBuf {
    let source = sources().join(format!("{pom}.xml"));
    let folder = resolved(pom, &[&source], |folder| {
        run_to_end(
            "mvn",
            std::process::Command::new("mvn")
                .args(["--quiet", "--batch-mode", "--file"])
                .arg(&source)
                .args(["dependency:copy-dependencies", "-DincludeScope=runtime"])
                .arg(format!("-DoutputDirectory={}", folder.join("jars").display())),
        );
    });
    folder.join("jars")
}

/// Returns the folder of the packages that `package.json` names.
fn packages() -> PathBuf {
    let sources = ["package.json", "package-lock.json"].map(|name| sources().join(name));
    resolved("packages", &sources.each_ref().map(PathBuf::as_path), |folder| {
        for source in &sources {
            fs::copy(source, folder.join(source.file_name().expect("a name"))).expect("a copy");
        }
        run_to_end(
            "npm",
            std::process::Command::new("npm").current_dir(folder).args([
                "ci",
                "--no-audit",
                "--no-fund",
                "--ignore-scripts",
            ]),
        );
    })
}

/// Returns a folder filled by `resolve`, which runs again only if one of `sources` has changed.
fn resolved(name: &str, sources: &[&Path], resolve: impl FnOnce(&Path)) -> PathBuf {
    let _one = RESOLVING.lock().unwrap_or_else(PoisonError::into_inner);
    let wanted: Vec<u8> =
        sources.iter().flat_map(|source| fs::read(source).expect("a file of the rig")).collect();
    let folder = home().join(name);
    if fs::read(folder.join("resolved")).is_ok_and(|resolved| resolved == wanted) {
        return folder;
    }
    let begin = tokio::time::Instant::now();
    if folder.exists() {
        fs::remove_dir_all(&folder).expect("removed");
    }
    fs::create_dir_all(&folder).expect("a folder");
    resolve(&folder);
    // Written last, so that an interrupted run starts again.
    fs::write(folder.join("resolved"), wanted).expect("a file");
    note(format_args!("{name}: resolved in {:.1} s", begin.elapsed().as_secs_f64()));
    folder
}

fn run_to_end(program: &str, command: &mut std::process::Command) {
    let ran = command.output().unwrap_or_else(|error| panic!("{}", missing(program, &error)));
    assert!(
        ran.status.success(),
        "{program}: {}\n{}\n{}",
        ran.status,
        String::from_utf8_lossy(&ran.stdout),
        String::from_utf8_lossy(&ran.stderr)
    );
}

fn missing(program: &str, error: &std::io::Error) -> String {
    format!(
        "{program} cannot be run: {error}. Tests against real servers and clients need a JDK (17 or newer: \
         java, javac), Maven (mvn) and Node.js (node, npm)"
    )
}

/// Compiles a Java source of the rig against the jars of a pom.
///
/// # Panics
///
/// If compilation fails.
#[must_use]
pub fn java_program(main: &str, pom: &str) -> JavaProgram {
    JavaProgram { classes: classes(main, pom), jars: jars(pom), main: main.to_owned() }
}

/// Returns the folder of the classes of a Java source of the rig, compiled against the jars of a
/// pom.
pub(super) fn classes(main: &str, pom: &str) -> PathBuf {
    let jars = jars(pom);
    let source = sources().join(format!("{main}.java"));
    resolved(&format!("{main}-{pom}"), &[&source], |folder| {
        run_to_end(
            "javac",
            std::process::Command::new("javac")
                .args(["-nowarn", "-Xlint:none", "-encoding", "UTF-8", "-cp"])
                .arg(jars.join("*"))
                .arg("-d")
                .arg(folder)
                .arg(&source),
        );
    })
}

impl JavaProgram {
    /// Runs the program with these arguments.
    ///
    /// # Panics
    ///
    /// If it cannot be run or does not end in time.
    pub async fn run(&self, arguments: Vec<String>) -> Ran {
        let mut class_path = self.classes.clone().into_os_string();
        class_path.push(":");
        class_path.push(self.jars.join("*"));
        let mut command = Command::new("java");
        command.args(["-Xmx512m", "-XX:TieredStopAtLevel=1", "-XX:+UseSerialGC"]);
        command.arg("-Dfile.encoding=UTF-8").arg("-cp").arg(class_path).arg(&self.main);
        run("java", command.args(arguments)).await
    }
}

/// Runs a JavaScript source of the rig with these arguments.
///
/// # Panics
///
/// If it cannot be run or does not end in time.
pub async fn javascript(name: &str, arguments: Vec<String>) -> Ran {
    let packages = packages();
    // Packages are resolved relative to the file.
    let file = packages.join(name);
    fs::copy(sources().join(name), &file).expect("a copy");
    run("node", Command::new("node").current_dir(&packages).arg(file).args(arguments)).await
}

/// Runs the command line client of 16.0.7 on a file of commands, connected to `server`.
///
/// # Panics
///
/// If it cannot be run or does not end in time.
pub async fn cli(server: &str, batch: &Path) -> Ran {
    let jars = jars("server-16");
    let home = tempfile::tempdir().expect("a folder");
    let mut command = Command::new("java");
    command
        .args(["-XX:TieredStopAtLevel=1", "-XX:+UseSerialGC", "-Dfile.encoding=UTF-8"])
        .arg(format!("-Dinfinispan.cli.dir={}", home.path().display()))
        .arg("-cp")
        .arg(jars.join("*"))
        .args(["org.infinispan.cli.commands.CLI", "-c", server, "-f"])
        .arg(batch.as_os_str() as &OsStr);
    run("java", &mut command).await
}

async fn run(program: &str, command: &mut Command) -> Ran {
    let running = command
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .kill_on_drop(true)
        .spawn()
        .unwrap_or_else(|error| panic!("{}", missing(program, &error)));
    let ran = tokio::time::timeout(PATIENCE, running.wait_with_output()).await;
    let ran = ran.unwrap_or_else(|_| panic!("{program} does not end")).expect("its output");
    let text = |bytes: Vec<u8>| String::from_utf8_lossy(&bytes).into_owned();
    Ran { success: ran.status.success(), output: text(ran.stdout), errors: text(ran.stderr) }
}
