//! Writes `src/v1` of the client anew from `proto/podium/v1`. It needs no protoc.
//!
//! Run it in `client/rust`: `cargo run -p podium-codegen`, or with another folder to write to.

use std::error::Error;
use std::path::{Path, PathBuf};
use std::{env, fs};

use prost::Message;
use prost_types::FileDescriptorProto;
use prost_types::field_descriptor_proto::{Label, Type};

fn main() -> Result<(), Box<dyn Error>> {
    let here = Path::new(env!("CARGO_MANIFEST_DIR"));
    let protos = here.join("../../../proto");
    let target = env::args_os()
        .nth(1)
        .map_or_else(|| here.join("../src/v1"), PathBuf::from);
    fs::create_dir_all(&target)?;

    let mut compiler = protox::Compiler::new([&protos])?;
    compiler.include_source_info(true).include_imports(true);
    compiler.open_files(files(&protos)?)?;
    let mut config = tonic_prost_build::Config::new();
    config.prost_path("crate::exact");
    let mut described = compiler.file_descriptor_set();
    described.file.iter_mut().for_each(always_write_doubles);
    tonic_prost_build::configure()
        .build_server(false)
        .btree_map(".")
        .out_dir(&target)
        .compile_fds_with_config(described, config)?;

    let mut bare = compiler.file_descriptor_set();
    for file in &mut bare.file {
        file.source_code_info = None;
    }
    fs::write(target.join("podium.v1.binpb"), bare.encode_to_vec())?;
    Ok(())
}

/// Has prost write a double that may be -0.0: else it takes it for the default, which is left out.
fn always_write_doubles(file: &mut FileDescriptorProto) {
    let fields = file
        .message_type
        .iter_mut()
        .flat_map(|message| &mut message.field);
    for field in fields {
        if field.r#type() == Type::Double
            && field.label() == Label::Optional
            && !field.proto3_optional()
        {
            field.set_label(Label::Required);
        }
    }
}

/// The proto files, in the order of their names.
fn files(protos: &Path) -> Result<Vec<PathBuf>, Box<dyn Error>> {
    let mut files = fs::read_dir(protos.join("podium/v1"))?
        .map(|entry| entry.map(|found| found.path()))
        .collect::<Result<Vec<_>, _>>()?;
    files.retain(|file| file.extension().is_some_and(|ending| ending == "proto"));
    files.sort();
    Ok(files)
}
