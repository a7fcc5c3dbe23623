-- ARGV: window, lease in ms, then name and weight of each tenant that has one.
local window, lease = tonumber(ARGV[1]), tonumber(ARGV[2])
if redis.call('ZCARD', 'seqway:out') >= window then return false end
local weights = {}
for i = 3, #ARGV, 2 do weights[ARGV[i]] = tonumber(ARGV[i + 1]) end
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
while true do
  local tenant = redis.call('ZRANGE', 'seqway:tenants', 0, 0)[1]
  if not tenant then return false end
  local ready = 'seqway:ready:' .. tenant
  local job = redis.call('ZRANGE', ready, 0, 0)[1]
  if not job then
    redis.call('ZREM', 'seqway:tenants', tenant)
  else
    local member = redis.call('ZPOPMIN', 'seqway:pending:' .. job)[1]
    if not member then
      redis.call('ZREM', ready, job)
    elseif not redis.call('ZSCORE', 'seqway:out', member) then
      redis.call('ZINCRBY', 'seqway:tenants', 1 / (weights[tenant] or 1), tenant)
      redis.call('ZADD', 'seqway:out', now + lease, member)
      return member
    end
  end
end
