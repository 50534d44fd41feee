-- What scripts find around them. Everything they share is shown through empty tables that refuse changes, because one
-- interpreter runs the scripts of all clients.
local rust = ...

local error, getmetatable, loadstring, next, pairs, pcall, rawget, rawset, select, setfenv, setmetatable, tonumber, tostring,
  type, unpack, xpcall, collectgarbage =
  error, getmetatable, loadstring, next, pairs, pcall, rawget, rawset, select, setfenv, setmetatable, tonumber, tostring,
  type, unpack, xpcall, collectgarbage
local byte, rep, sub = string.byte, string.rep, string.sub
local concat, insert, remove, sort = table.concat, table.insert, table.remove, table.sort
local huge = math.huge
local create, resume = coroutine.create, coroutine.resume

local READONLY = "Attempt to modify a readonly table"
-- How deep coroutines may run in one another: each takes its share of the machine's stack.
local DEPTH_MAX = 32
-- Values that unpack gives at most, a little less than the interpreter's stack holds.
local UNPACKED_MAX = 8000

-- Tables that refuse changes, and what they show.
local protected = {}
-- ended: the run must end, whatever the script catches.
local run = { ended = false }

local function refuse()
  error(READONLY, 2)
end

local function protect(real)
  local shown, proxy = {}, {}
  protected[shown], protected[proxy] = {}, real
  setmetatable(shown, { __newindex = refuse, __metatable = shown })
  local meta = { __index = real, __newindex = refuse, __metatable = shown }
  return setmetatable(proxy, meta), meta
end

local function guard(t)
  if protected[t] then
    rust.refuse(READONLY)
  end
end

-- Global names: KEYS and ARGV of the run, then what all scripts share.
local shared, names = {}, {}
local strict = {
  __index = function(_, name)
    error("Script attempted to access nonexistent global variable '" .. tostring(name) .. "'", 2)
  end,
}
setmetatable(shared, strict)
setmetatable(names, { __index = shared })
local env = protect(names)
protected[env] = shared

for _, name in pairs { "assert", "error", "gcinfo", "getmetatable", "ipairs", "rawequal", "select", "tonumber", "tostring", "type",
  "_VERSION" } do
  shared[name] = rawget(_G, name)
end
shared._G = env

-- Errors.

local function settle(ok, ...)
  if ok then
    return true, ...
  end
  if run.ended then
    rust.over()
  end
  local e = rust.translate((...))
  if type(e) == "table" then
    local text = rawget(e, "err")
    if type(text) == "string" or type(text) == "number" then
      e = text
    end
  end
  return false, e
end

function shared.pcall(...)
  return settle(pcall(...))
end

local function settle_handled(ok, ...)
  if not ok and run.ended then
    rust.over()
  end
  return ok, ...
end

function shared.xpcall(f, handler)
  return settle_handled(xpcall(f, function(e)
    -- While the error of a run that is over is handled, nothing would interrupt the handler.
    if run.ended then
      return e
    end
    return handler(rust.translate(e))
  end))
end

-- Tables.

function shared.next(t, key)
  return next(protected[t] or t, key)
end

function shared.pairs(t)
  local real = protected[t]
  if not real then
    return pairs(t)
  end
  return function(_, key)
    return next(real, key)
  end, t, nil
end

function shared.rawget(t, key)
  return rawget(protected[t] or t, key)
end

function shared.rawset(t, key, value)
  guard(t)
  return rawset(t, key, value)
end

function shared.setmetatable(t, meta)
  guard(t)
  return setmetatable(t, meta)
end

function shared.unpack(t, i, j)
  if i == nil and j == nil then
    -- Arguments take room from the values.
    return unpack(t)
  end
  if j and tonumber(j) and (tonumber(j) - (tonumber(i) or 1)) >= UNPACKED_MAX then
    error("too many results to unpack", 2)
  end
  return unpack(t, i, j)
end

function table.insert(t, ...)
  guard(t)
  local place = select("#", ...) > 1 and tonumber((...))
  if place and place < -UNPACKED_MAX then
    error("bad argument #2 to 'insert' (position out of bounds)", 2)
  end
  return insert(t, ...)
end

function table.remove(t, ...)
  guard(t)
  return remove(t, ...)
end

local function less(a, b)
  return a < b
end

-- Sorting compares with a Lua function in any case, so that it counts as instructions.
function table.sort(t, before)
  guard(t)
  return sort(t, before or less)
end

-- Strings and code.

function string.rep(s, n)
  if s == "" then
    return s
  end
  return rep(s, n)
end

-- A string argument of a function that is written here.
local function text_of(value, at, name)
  if type(value) == "number" then
    return tostring(value)
  elseif type(value) ~= "string" then
    error("bad argument #" .. at .. " to '" .. name .. "' (string expected, got " .. (value == nil and "no value" or type(value)) .. ")", 3)
  end
  return value
end

local CARET = 94

function string.gmatch(text, pattern)
  text, pattern = text_of(text, 1, "gmatch"), text_of(pattern, 2, "gmatch")
  if byte(pattern) == CARET then
    -- It is no anchor here.
    pattern = "%" .. pattern
  end
  local at = 1
  local function step(from, to, ...)
    -- After an empty match the search goes on one further.
    at = from and (to < from and to + 2 or to + 1)
    return ...
  end
  return function()
    if at and at <= #text + 1 then
      return step(rust.seek(text, pattern, at))
    end
  end
end
string.gfind = string.gmatch

function string.gsub(text, pattern, by, most)
  local kind = type(by)
  if kind ~= "table" and kind ~= "function" then
    return rust.replace(text, pattern, by, most)
  end
  text, pattern, most = text_of(text, 1, "gsub"), text_of(pattern, 2, "gsub"), tonumber(most) or huge
  local out, at, count = {}, 1, 0
  local function add(from, to, first, ...)
    if not from then
      return false
    end
    local new
    if kind == "table" then
      new = by[first]
    else
      new = by(first, ...)
    end
    if not new then
      new = sub(text, from, to)
    elseif type(new) ~= "string" and type(new) ~= "number" then
      error("invalid replacement value (a " .. type(new) .. ")", 3)
    end
    out[#out + 1] = sub(text, at, from - 1)
    out[#out + 1] = new
    at = to + 1
    if to < from then
      out[#out + 1] = sub(text, at, at)
      at = at + 1
    end
    return true
  end
  while count < most and at <= #text + 1 and add(rust.seek(text, pattern, at)) do
    count = count + 1
    if byte(pattern) == CARET then
      break
    end
  end
  return concat(out) .. sub(text, at), count
end

function shared.loadstring(text, name)
  if type(text) == "string" and byte(text, 1) == 27 then
    return nil, "attempt to load bytecode"
  end
  local f, why = loadstring(text, name)
  if f then
    setfenv(f, env)
  end
  return f, why
end

function shared.load(read, name)
  local pieces = {}
  while true do
    local piece = read()
    if piece == nil or piece == "" then
      return shared.loadstring(concat(pieces), name or "=(load)")
    elseif type(piece) ~= "string" then
      return nil, "reader function must return a string"
    end
    pieces[#pieces + 1] = piece
  end
end

function shared.collectgarbage(what, ...)
  if what == nil or what == "collect" or what == "count" then
    return collectgarbage(what)
  end
  return 0
end

-- Coroutines.

local depth = 0

local function leave(ok, ...)
  depth = depth - 1
  if ok then
    return true, ...
  end
  if run.ended then
    rust.over()
  end
  return false, rust.translate((...))
end

function coroutine.resume(co, ...)
  if depth >= DEPTH_MAX then
    return false, "C stack overflow"
  end
  depth = depth + 1
  return leave(resume(co, ...))
end

local function unwrap(ok, ...)
  if not ok then
    error((...), 0)
  end
  return ...
end

function coroutine.wrap(f)
  local co = create(f)
  return function(...)
    return unwrap(coroutine.resume(co, ...))
  end
end

-- Libraries. Strings find the functions of `string` through their own metatable.

for _, name in pairs { "coroutine", "math", "string", "table" } do
  shared[name] = protect(_G[name])
end
for name, library in pairs(rust.libraries) do
  shared[name] = protect(library)
end
local strings = getmetatable ""
strings.__metatable = protect { __index = shared.string }

-- Functions. All libraries have one set of globals; while one is loaded, these are what registers its functions.

local function_env, function_globals = protect(shared)
local registry = setmetatable({ redis = protect(setmetatable(rust.registry, strict)) }, strict)

-- Running.

local function handler(e)
  e = rust.translate(e, true)
  local line = e
  local answered
  if type(e) == "table" then
    line, answered = rawget(e, "err"), rawget(e, "ignore_error_stats_update")
    if type(line) ~= "string" and type(line) ~= "number" then
      line = "ERR the script raised a table without the field 'err'"
    end
  else
    line = "ERR " .. tostring(e)
  end
  local source, at = rust.position()
  return { err = line, answered = answered, source = source, line = at }
end

local api = {}

-- Runs a compiled chunk: true and its value, or false and the error as a table.
function api.run(chunk, keys, arguments)
  depth, run.ended = 0, false
  names.KEYS, names.ARGV = keys, arguments
  return xpcall(chunk, handler)
end

-- Runs a function of a library, as `run`.
function api.call(callback, keys, arguments)
  depth, run.ended = 0, false
  return xpcall(function()
    return callback(keys, arguments)
  end, handler)
end

-- Runs the code of a library, which registers functions, as `run`.
function api.load(chunk)
  depth, run.ended = 0, false
  function_globals.__index, protected[function_env] = registry, registry
  return xpcall(chunk, handler)
end

-- A library was loaded, or could not be.
function api.loaded()
  function_globals.__index, protected[function_env] = shared, shared
end

-- Forgets what the last run was given.
function api.clear()
  names.KEYS, names.ARGV = nil, nil
end

api.state, api.env, api.function_env = run, env, function_env
return api
