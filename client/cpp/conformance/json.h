/// A reader of JSON that keeps each value's own text: a message is parsed from it as it was written.
#pragma once

#include <string>
#include <utility>
#include <vector>

namespace conformance {

/// A JSON value.
class Json {
 public:
  enum class Kind { null, boolean, number, text, list, object };

  /// Reads a file. Throws std::runtime_error.
  static Json file(const std::string& path);

  Kind kind = Kind::null;
  /// The value as it is written.
  std::string raw;
  /// The text of a text, escapes resolved.
  std::string text;
  std::vector<Json> items;
  std::vector<std::pair<std::string, Json>> members;

  /// The member of that name; null if there is none.
  const Json* find(const std::string& name) const;
  /// The member of that name. Throws std::runtime_error if there is none.
  const Json& at(const std::string& name) const;
  /// The items of a member that is a list; none if there is no such member.
  const std::vector<Json>& list(const std::string& name) const;
};

/// A JSON text with its quotation marks.
std::string quoted(const std::string& text);

}  // namespace conformance
