#include "connect.h"

#include <google/protobuf/descriptor.h>
#include <google/protobuf/struct.pb.h>
#include <google/protobuf/util/json_util.h>
#include <google/protobuf/wrappers.pb.h>
#include <httplib.h>
#include <podium/podium.h>

#include <algorithm>
#include <stdexcept>

#include "podium/internal/details.pb.h"

namespace {

using google::protobuf::Descriptor;
using google::protobuf::DescriptorPool;
using google::protobuf::Message;
using google::protobuf::MessageFactory;
using google::protobuf::MethodDescriptor;
using google::protobuf::Struct;
using google::protobuf::util::JsonStringToMessage;
using google::protobuf::util::MessageToJsonString;

constexpr int kSeconds = 120;

void require(bool is_right, const std::string& what) {
  if (!is_right) {
    throw std::runtime_error(what);
  }
}

const MethodDescriptor& method_of(const std::string& call) {
  for (const char* service : {"ResultsService", "RecordingService"}) {
    const std::string name = std::string("podium.v1.") + service + '.' + call;
    if (const auto* found = DescriptorPool::generated_pool()->FindMethodByName(name)) {
      return *found;
    }
  }
  throw std::invalid_argument("no call: " + call);
}

std::unique_ptr<Message> new_message(const Descriptor* type) {
  return std::unique_ptr<Message>(MessageFactory::generated_factory()->GetPrototype(type)->New());
}

void read(bool is_json, const std::string& bytes, Message& message) {
  require(is_json ? JsonStringToMessage(bytes, &message).ok() : message.ParseFromString(bytes),
          "not a message: " + bytes);
}

std::string written(bool is_json, const Message& message) {
  if (!is_json) {
    return message.SerializeAsString();
  }
  std::string text;
  require(MessageToJsonString(message, &text).ok(), "no JSON");
  return text;
}

grpc::StatusCode code_of(std::string name) {
  std::transform(name.begin(), name.end(), name.begin(), [](unsigned char c) { return std::toupper(c); });
  for (int number = grpc::CANCELLED; number <= grpc::UNAUTHENTICATED; ++number) {
    const auto code = static_cast<grpc::StatusCode>(number);
    if (podium::Error(code, "").code_name() == name) {
      return code;
    }
  }
  throw std::runtime_error("no code: " + name);
}

/// The error of an answer, as the client reads it of a call over gRPC.
podium::Error error_of(const std::string& answer) {
  Struct error;
  read(true, answer, error);
  const auto text = [](const Struct& of, const char* name) { return of.fields().at(name).string_value(); };
  podium::internal::Status status;
  if (error.fields().count("details") != 0) {
    for (const auto& listed : error.fields().at("details").list_value().values()) {
      google::protobuf::BytesValue value;
      read(true, '"' + text(listed.struct_value(), "value") + '"', value);
      auto& detail = *status.add_details();
      detail.set_type_url("type.googleapis.com/" + text(listed.struct_value(), "type"));
      detail.set_value(value.value());
    }
  }
  return podium::Error::from({code_of(text(error, "code")), text(error, "message"), status.SerializeAsString()});
}

}  // namespace

std::unique_ptr<Message> call_connect(const std::string& address, bool is_json, const std::string& call,
                                      const std::string& request) {
  const MethodDescriptor& method = method_of(call);
  const auto sent = new_message(method.input_type());
  read(false, request, *sent);
  httplib::Client client(address);
  client.set_read_timeout(kSeconds);
  const auto answer = client.Post(("/" + method.service()->full_name() + "/" + call).c_str(), written(is_json, *sent),
                                  is_json ? "application/json" : "application/proto");
  require(static_cast<bool>(answer), "no answer from " + address);
  if (answer->status != 200) {
    throw error_of(answer->body);
  }
  auto response = new_message(method.output_type());
  read(is_json, answer->body, *response);
  return response;
}
