//! EXEC (0x2B): runs a task on the server; most tasks are administrative.

use super::{
    DecodeError, ProtocolVersion, Reader, Request, RequestHeader, Response, Status, Writer,
};

/// Runs the task of this name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Exec<'a> {
    /// Name of the task, such as `@@cache@create`.
    pub task: &'a str,
    /// Arguments of the task; administrative tasks take UTF-8.
    pub parameters: Vec<Parameter<'a>>,
}

/// A parameter of a task.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Parameter<'a> {
    /// Its name.
    pub name: &'a str,
    /// Its value.
    pub value: &'a [u8],
}

impl<'a> Exec<'a> {
    /// Returns the value of a parameter.
    #[must_use]
    pub fn parameter(&self, name: &str) -> Option<&'a [u8]> {
        self.parameters.iter().find(|parameter| parameter.name == name).map(|found| found.value)
    }
}

/// The result of the task.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Executed<'b>(pub &'b [u8]);

impl<'a> Request<'a> for Exec<'a> {
    type Response<'b> = Executed<'b>;

    fn decode(_: &RequestHeader<'a>, reader: &mut Reader<'a>) -> Result<Self, DecodeError> {
        let task = reader.text("task")?;
        let count = reader.byte()?;
        let mut parameters = Vec::new();
        for _ in 0..count {
            let name = reader.text("name of a parameter")?;
            parameters.push(Parameter { name, value: reader.array("value of a parameter")? });
        }
        Ok(Self { task, parameters })
    }
    fn encode(&self, _: ProtocolVersion, writer: &mut Writer) {
        writer.text(self.task);
        writer.byte(u8::try_from(self.parameters.len()).unwrap_or(u8::MAX));
        for parameter in self.parameters.iter().take(u8::MAX.into()) {
            writer.text(parameter.name);
            writer.array(parameter.value);
        }
    }
}

impl<'b> Response<'b> for Executed<'b> {
    fn status(&self) -> Status {
        Status::Success
    }
    fn decode(_: Status, _: ProtocolVersion, reader: &mut Reader<'b>) -> Result<Self, DecodeError> {
        Ok(Self(reader.array("result")?))
    }
    fn encode(&self, _: ProtocolVersion, writer: &mut Writer) {
        writer.array(self.0);
    }
}
