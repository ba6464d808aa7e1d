/// Converts values of configurations and breakdowns from plain data, and back.
#pragma once

#include <cstddef>
#include <cstdint>
#include <limits>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <type_traits>
#include <vector>

#include "podium/v1/value.pb.h"

namespace podium {

/// Makes a Value of a bool, an integer, a floating-point number, text, or nullptr. Integers stay integers.
template <class T>
[[nodiscard]] v1::Value value(const T& plain) {
  v1::Value made;
  if constexpr (std::is_same_v<T, v1::Value>) {
    made = plain;
  } else if constexpr (std::is_same_v<T, std::nullptr_t>) {
    made.set_null_value(google::protobuf::NULL_VALUE);
  } else if constexpr (std::is_same_v<T, bool>) {
    made.set_bool_value(plain);
  } else if constexpr (std::is_integral_v<T>) {
    static_assert(std::numeric_limits<T>::max() <= std::numeric_limits<std::int64_t>::max(), "integers have 64 bits");
    made.set_int_value(plain);
  } else if constexpr (std::is_floating_point_v<T>) {
    made.set_double_value(plain);
  } else {
    made.set_string_value(std::string(std::string_view(plain)));
  }
  return made;
}

/// Makes a Value of a list of plain data of one type, or of Values.
template <class T>
[[nodiscard]] v1::Value value(const std::vector<T>& items) {
  v1::Value made;
  made.mutable_list_value();  // also if it is empty
  for (const T& item : items) {
    *made.mutable_list_value()->add_values() = value(item);
  }
  return made;
}

/// Makes a Value of a map to plain data of one type, or to Values.
template <class T>
[[nodiscard]] v1::Value value(const std::map<std::string, T>& entries) {
  v1::Value made;
  made.mutable_map_value();  // also if it is empty
  for (const auto& [key, item] : entries) {
    (*made.mutable_map_value()->mutable_entries())[key] = value(item);
  }
  return made;
}

/// Returns the content of a Value as a bool, std::int64_t, double, std::string, std::vector<v1::Value> or
/// std::map<std::string, v1::Value>, or nothing if it has another type. An integer is not read as a double.
template <class T>
[[nodiscard]] std::optional<T> plain(const v1::Value& value) {
  using Kind = v1::Value::KindCase;
  const auto kind = value.kind_case();
  if constexpr (std::is_same_v<T, bool>) {
    return kind == Kind::kBoolValue ? std::optional(value.bool_value()) : std::nullopt;
  } else if constexpr (std::is_same_v<T, std::int64_t>) {
    return kind == Kind::kIntValue ? std::optional<T>(value.int_value()) : std::nullopt;
  } else if constexpr (std::is_same_v<T, double>) {
    return kind == Kind::kDoubleValue ? std::optional(value.double_value()) : std::nullopt;
  } else if constexpr (std::is_same_v<T, std::string>) {
    return kind == Kind::kStringValue ? std::optional(value.string_value()) : std::nullopt;
  } else if constexpr (std::is_same_v<T, std::vector<v1::Value>>) {
    const auto& items = value.list_value().values();
    return kind == Kind::kListValue ? std::optional<T>(T(items.begin(), items.end())) : std::nullopt;
  } else {
    static_assert(std::is_same_v<T, std::map<std::string, v1::Value>>, "a Value cannot have this type");
    const auto& entries = value.map_value().entries();
    return kind == Kind::kMapValue ? std::optional<T>(T(entries.begin(), entries.end())) : std::nullopt;
  }
}

}  // namespace podium
