#include "messages.h"

#include <google/protobuf/descriptor.h>
#include <google/protobuf/io/coded_stream.h>
#include <google/protobuf/io/zero_copy_stream_impl_lite.h>
#include <google/protobuf/util/json_util.h>

#include <cmath>
#include <limits>
#include <memory>
#include <stdexcept>
#include <vector>

namespace conformance {
namespace {

using google::protobuf::FieldDescriptor;
using google::protobuf::Message;
using google::protobuf::Reflection;

constexpr double kNan = std::numeric_limits<double>::quiet_NaN();

/// Makes every NaN the same one.
void unify_nans(Message& message) {
  const Reflection& reflection = *message.GetReflection();
  std::vector<const FieldDescriptor*> fields;
  reflection.ListFields(message, &fields);
  for (const FieldDescriptor* field : fields) {
    const bool is_message = field->cpp_type() == FieldDescriptor::CPPTYPE_MESSAGE;
    if (is_message && field->is_repeated()) {
      for (int index = 0; index < reflection.FieldSize(message, field); ++index) {
        unify_nans(*reflection.MutableRepeatedMessage(&message, field, index));
      }
    } else if (is_message) {
      unify_nans(*reflection.MutableMessage(&message, field));
    } else if (field->cpp_type() == FieldDescriptor::CPPTYPE_DOUBLE && !field->is_repeated() &&
               std::isnan(reflection.GetDouble(message, field))) {
      reflection.SetDouble(&message, field, kNan);
    }
  }
}

/// The bytes of a message, the same for whatever order its maps have.
std::string exact(const Message& message) {
  const std::unique_ptr<Message> copy(message.New());
  copy->CopyFrom(message);
  unify_nans(*copy);
  std::string bytes;
  google::protobuf::io::StringOutputStream stream(&bytes);
  google::protobuf::io::CodedOutputStream coded(&stream);
  coded.SetSerializationDeterministic(true);
  copy->SerializeToCodedStream(&coded);
  coded.Trim();
  return bytes;
}

/// The message with nothing but one of its fields.
std::unique_ptr<Message> only(const Message& message, const FieldDescriptor* kept) {
  std::unique_ptr<Message> copy(message.New());
  copy->CopyFrom(message);
  std::vector<const FieldDescriptor*> fields;
  copy->GetReflection()->ListFields(*copy, &fields);
  for (const FieldDescriptor* field : fields) {
    if (field != kept) {
      copy->GetReflection()->ClearField(copy.get(), field);
    }
  }
  return copy;
}

/// Whether a field holds messages of which only the fields that are named are compared.
bool is_compound(const FieldDescriptor* field) {
  if (field->cpp_type() != FieldDescriptor::CPPTYPE_MESSAGE || field->is_map()) {
    return false;
  }
  const std::string& name = field->message_type()->full_name();
  return name != "podium.v1.Value" && name != "google.protobuf.Timestamp";
}

/// Whether a number is computed from several: it may differ by rounding.
bool is_statistic(const FieldDescriptor* field) {
  return field->containing_type()->full_name() == "podium.v1.ScoreStatistics" &&
         field->cpp_type() == FieldDescriptor::CPPTYPE_DOUBLE;
}

bool is_near(double found, double wanted) { return std::abs(found - wanted) <= 1e-9 * std::abs(wanted); }

bool is_set(const Message& message, const FieldDescriptor* field) {
  const Reflection& reflection = *message.GetReflection();
  return field->is_repeated() ? reflection.FieldSize(message, field) > 0 : reflection.HasField(message, field);
}

Verdict check_list(const Json& expected, const Message& found, const FieldDescriptor* field,
                   const std::string& place) {
  const Reflection& reflection = *found.GetReflection();
  const int size = reflection.FieldSize(found, field);
  if (static_cast<std::size_t>(size) != expected.items.size()) {
    return place + " has " + std::to_string(size) + " elements: " + found.ShortDebugString();
  }
  for (int index = 0; index < size; ++index) {
    const std::string here = place + "[" + std::to_string(index) + "]";
    if (auto wrong = check(expected.items[index], reflection.GetRepeatedMessage(found, field, index), here)) {
      return wrong;
    }
  }
  return std::nullopt;
}

Verdict check_field(const Json& expected, const Message& found, const FieldDescriptor* field,
                    const std::string& place) {
  if (expected.kind == Json::Kind::null) {
    return is_set(found, field) ? Verdict(place + " is set") : std::nullopt;
  }
  if (is_compound(field) && field->is_repeated()) {
    return check_list(expected, found, field, place);
  }
  if (is_compound(field)) {
    return check(expected, found.GetReflection()->GetMessage(found, field), place);
  }
  Json alone;
  alone.raw = "{" + quoted(field->json_name()) + ":" + expected.raw + "}";
  const std::unique_ptr<Message> wanted(found.New());
  parse(alone, *wanted);
  if (is_statistic(field) && is_near(found.GetReflection()->GetDouble(found, field),
                                     wanted->GetReflection()->GetDouble(*wanted, field))) {
    return std::nullopt;
  }
  return equal(*only(found, field), *wanted);
}

}  // namespace

void parse(const Json& json, Message& message) {
  const auto status = google::protobuf::util::JsonStringToMessage(json.raw, &message);
  if (!status.ok()) {
    throw std::runtime_error(status.ToString() + " in " + json.raw);
  }
}

Verdict equal(const Message& found, const Message& expected) {
  if (exact(found) == exact(expected)) {
    return std::nullopt;
  }
  return "{" + found.ShortDebugString() + "} instead of {" + expected.ShortDebugString() + "}";
}

Verdict check(const Json& expected, const Message& found, const std::string& place) {
  for (const auto& [name, value] : expected.members) {
    const FieldDescriptor* field = found.GetDescriptor()->FindFieldByCamelcaseName(name);
    if (field == nullptr) {
      return place + " has no " + name;
    }
    if (auto wrong = check_field(value, found, field, place + "." + name)) {
      return wrong;
    }
  }
  return std::nullopt;
}

void clear_output_only(podium::v1::EvalResult& row) {
  row.clear_revision();
  row.clear_event_time();
  row.clear_record_time();
}

void clear_output_only(podium::v1::ArmResult& arm) {
  arm.clear_experiment();
  arm.clear_revision();
  arm.clear_create_time();
  arm.clear_update_time();
  arm.clear_attempt();
  for (podium::v1::EvalResult& row : *arm.mutable_evals()) {
    clear_output_only(row);
  }
}

}  // namespace conformance
