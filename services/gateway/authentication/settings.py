"""Settings of authentication, read from `SEQWAY_*` environment variables."""

from typing import Self

from pydantic import Field, FilePath, SecretStr, model_validator

from services.foundation.environment import EnvironmentSettings
from services.gateway.authentication.keys import LEAST_PEPPER


class AuthenticationSettings(EnvironmentSettings):
    """Which credentials callers must have; with none of these set, they need none."""

    api_keys_file: FilePath | None = Field(
        default=None, description="file of API keys, created by seqway-keys; callers must have one"
    )
    api_key_pepper: SecretStr = Field(
        default=SecretStr(""),
        description="secret that API keys are hashed with, 16 characters or more; keep it in a"
        " file of SEQWAY_SECRETS_DIR",
    )
    jwt_issuer: str = Field(
        default="", description="issuer (iss) whose tokens are accepted; callers must have one"
    )
    jwt_audience: str = Field(default="", description="audience (aud) that tokens must be for")
    jwt_jwks: str = Field(
        default="",
        description="file or https:// URL of the issuer's public keys; found by OpenID discovery"
        " when empty",
    )
    jwt_tenant_claim: str = Field(
        default="tenant", description="claim that names the tenant of a token"
    )
    jwt_scope_prefix: str = Field(
        default="seqway:", description="prefix of the scopes for Seqway in a token's scope"
    )

    @model_validator(mode="after")
    def _check_authentication(self) -> Self:
        if self.api_keys_file and len(self.api_key_pepper.get_secret_value()) < LEAST_PEPPER:
            raise ValueError(
                f"SEQWAY_API_KEY_PEPPER must have {LEAST_PEPPER} characters or more to go with"
                " SEQWAY_API_KEYS_FILE"
            )
        if self.jwt_issuer and not self.jwt_audience:
            raise ValueError("SEQWAY_JWT_AUDIENCE must be set to go with SEQWAY_JWT_ISSUER")
        if (self.jwt_audience or self.jwt_jwks) and not self.jwt_issuer:
            raise ValueError("SEQWAY_JWT_ISSUER must be set to go with the other SEQWAY_JWT_*")
        return self
