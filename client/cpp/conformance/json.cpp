#include "json.h"

#include <google/protobuf/struct.pb.h>
#include <google/protobuf/util/json_util.h>

#include <cctype>
#include <fstream>
#include <sstream>
#include <stdexcept>

namespace conformance {
namespace {

using google::protobuf::util::JsonStringToMessage;

class Reader {
 public:
  explicit Reader(const std::string& source) : source_(source) {}

  Json value() {
    skip_space();
    const std::size_t start = place_;
    Json json;
    switch (source_.at(place_)) {
      case '{':
        object(json);
        break;
      case '[':
        list(json);
        break;
      case '"':
        json.kind = Json::Kind::text;
        json.text = string();
        break;
      default:
        word(json);
    }
    json.raw = source_.substr(start, place_ - start);
    skip_space();
    return json;
  }

 private:
  void skip_space() {
    while (place_ < source_.size() && std::isspace(static_cast<unsigned char>(source_[place_])) != 0) {
      ++place_;
    }
  }

  bool take(char letter) {
    skip_space();
    const bool there = source_.at(place_) == letter;
    place_ += there ? 1 : 0;
    return there;
  }

  void object(Json& json) {
    json.kind = Json::Kind::object;
    ++place_;
    while (!take('}')) {
      std::string name = string();
      take(':');
      json.members.emplace_back(std::move(name), value());
      take(',');
    }
  }

  void list(Json& json) {
    json.kind = Json::Kind::list;
    ++place_;
    while (!take(']')) {
      json.items.push_back(value());
      take(',');
    }
  }

  std::string string() {
    const std::size_t start = place_++;
    while (source_.at(place_) != '"') {
      place_ += source_[place_] == '\\' ? 2 : 1;
    }
    ++place_;
    google::protobuf::Value resolved;
    const auto status = JsonStringToMessage(source_.substr(start, place_ - start), &resolved);
    if (!status.ok()) {
      throw std::runtime_error(status.ToString());
    }
    return resolved.string_value();
  }

  void word(Json& json) {
    const std::size_t start = place_;
    place_ = source_.find_first_of(",]} \n", place_);
    const char first = source_[start];
    const bool boolean = first == 't' || first == 'f';
    json.kind = first == 'n' ? Json::Kind::null : boolean ? Json::Kind::boolean : Json::Kind::number;
  }

  const std::string& source_;
  std::size_t place_ = 0;
};

}  // namespace

Json Json::file(const std::string& path) {
  std::ifstream stream(path);
  if (!stream) {
    throw std::runtime_error("cannot read " + path);
  }
  std::ostringstream content;
  content << stream.rdbuf();
  const std::string source = content.str() + "\n";
  return Reader(source).value();
}

const Json* Json::find(const std::string& name) const {
  for (const auto& [key, member] : members) {
    if (key == name) {
      return &member;
    }
  }
  return nullptr;
}

const Json& Json::at(const std::string& name) const {
  const Json* found = find(name);
  if (found == nullptr) {
    throw std::runtime_error("no " + name + " in " + raw);
  }
  return *found;
}

const std::vector<Json>& Json::list(const std::string& name) const {
  static const std::vector<Json> none;
  const Json* found = find(name);
  return found != nullptr ? found->items : none;
}

std::string quoted(const std::string& text) {
  google::protobuf::Value value;
  value.set_string_value(text);
  std::string json;
  google::protobuf::util::MessageToJsonString(value, &json);
  return json;
}

}  // namespace conformance
