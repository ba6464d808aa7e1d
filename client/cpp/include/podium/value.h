/// Values are made of plain data.
#pragma once

#include <cstdint>
#include <limits>
#include <string>
#include <string_view>
#include <type_traits>

#include "podium/v1/value.pb.h"

namespace podium {

/// A Value of a bool, an integer, a floating-point number, text, or nullptr. Lists and maps are
/// filled in: `list.mutable_list_value()->add_values()`.
template <class T>
[[nodiscard]] v1::Value value(const T& plain) {
  v1::Value made;
  if constexpr (std::is_same_v<T, std::nullptr_t>) {
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

}  // namespace podium
