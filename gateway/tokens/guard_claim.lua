-- Decides what a presented token meets, and claims it for whoever forwards it. The table is that of guard.py.
--
-- KEYS[1]  the token's record
-- ARGV     1 owner   2 life of a claim, ms   3 grace, ms   4 when time stood still, '<ended ms ago>:<length ms>,...'
--          5 the kept answer is not there, 0|1   6 claim, 1, or only tell, 0
--
-- Returns {'claimed'|'kept'|'busy'|'spent', now ms, it is spent, 0|1, generation, auth_time s, family, user, claimed
-- until ms}; without a family nothing is known. Running it again for the same owner gives the same. Whether the family
-- has left the token behind is for guard_standing.lua to say.

local owner, life, grace, again = ARGV[1], tonumber(ARGV[2]), tonumber(ARGV[3]), ARGV[5] == '1'
local token = read() or blank()
local known = token.family ~= ''

local function told(verdict)
  local spent = token.spent and 1 or 0
  return { verdict, NOW, spent, token.generation, token.auth, token.family, token.user, token.till }
end

local in_grace = token.promised or ran(token.traded, ARGV[4]) <= grace
if known and token.kept and in_grace and not again then return told('kept') end
if known and token.spent and not in_grace then return told('spent') end
if token.owner ~= '' and token.owner ~= owner and NOW < token.till then return told('busy') end

if ARGV[6] == '1' then
  token.owner, token.till = owner, NOW + life
  if known then write(token) else write(token, life / 1000) end
end
return told('claimed')
