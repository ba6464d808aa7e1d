/// Messages from the proto3 JSON mapping, and exact comparison.
#pragma once

#include <google/protobuf/message.h>
#include <podium/v1/arm_result.pb.h>

#include <optional>
#include <string>

#include "json.h"

namespace conformance {

/// What disagreed; nothing if all is well.
using Verdict = std::optional<std::string>;

/// Reads a message. Throws std::runtime_error.
void parse(const Json& json, google::protobuf::Message& message);

template <class Message>
Message parsed(const Json& json) {
  Message message;
  parse(json, message);
  return message;
}

/// Holds a message against another one: every field, doubles by their bits, and every NaN is NaN.
Verdict equal(const google::protobuf::Message& found, const google::protobuf::Message& expected);

/// Holds the fields that the JSON names against a message; null stands for unset.
Verdict check(const Json& expected, const google::protobuf::Message& found, const std::string& place);

/// Takes away what only the server sets.
void clear_output_only(podium::v1::EvalResult& row);
void clear_output_only(podium::v1::ArmResult& arm);

}  // namespace conformance
